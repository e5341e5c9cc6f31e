//! `kontingent simulate`: a synthetic region, by seed and size, as signed packages of its suppliers.
//!
//! Everything follows from the seed and an index; memory does not depend on the size.

pub mod keys;
pub mod learners;
pub mod manifest;
pub mod names;
pub mod numbers;
pub mod organisations;
pub mod people;
pub mod plan;
pub mod record;
pub mod region;
pub mod staff;
pub mod supplier;
pub mod write;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};

use crate::ops::output::say;
use crate::ops::simulate::keys::Keys;
use crate::ops::simulate::manifest::Manifest;

pub use plan::Package;
pub use region::Region;
pub use supplier::Supplier;

/// Writes `keys/`, `packages/` and `manifest.json` to a folder.
///
/// # Errors
/// When the folder cannot be written.
pub fn run(
    region: Region,
    days: u32,
    one_package: bool,
    out: &Path,
    now: DateTime<Utc>,
) -> Result<()> {
    for folder in ["keys", "packages"] {
        let folder = out.join(folder);
        fs::create_dir_all(&folder)
            .with_context(|| format!("не удалось создать папку {}", folder.display()))?;
    }
    let keys = Keys::make(now)?;
    keys.save(&out.join("keys"))?;
    let packages = if one_package { vec![region.one_package(days)] } else { region.packages(days) };
    let (mut manifest, mut bytes, mut records) = (Manifest::new(&region), 0, 0);
    for (number, package) in packages.iter().enumerate() {
        let file = format!("packages/{:04}-{}.xml", number + 1, package.name());
        let signer = keys.supplier_signer(package.supplier)?;
        let content = write::signed_file(package, &signer, &out.join(&file))?;
        bytes += fs::metadata(out.join(&file))?.len();
        records += content.header.counts.iter().map(|(_, count)| count).sum::<u64>();
        manifest.add(file, package, content);
    }
    let manifest_file = out.join("manifest.json");
    fs::write(&manifest_file, serde_json::to_vec_pretty(&manifest)?)?;
    say(format!(
        "Пакетов: {}, записей: {records}, байт: {bytes}. Состав и ожидаемые замечания: {}",
        packages.len(),
        manifest_file.display()
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use std::collections::HashSet;

    use super::*;
    use crate::codec::package::Reader;
    use crate::model::dictionary::Dictionaries;
    use crate::normalise::{self, draft::Rules};

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        let bytes = |seed| {
            let package = Region::new(seed, 200).one_package(2);
            let content = write::survey(&package).unwrap();
            write::write(&package, &content.header, Vec::new()).unwrap()
        };
        assert_eq!(bytes(1), bytes(1));
        assert_ne!(bytes(1), bytes(2));
    }

    #[test]
    fn a_signed_file_is_the_signed_bytes() {
        let keys = Keys::make(Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap()).unwrap();
        let signer = keys.supplier_signer(Supplier::Preschool).unwrap();
        let package = &Region::new(1, 60).packages(1)[2];
        let file = tempfile::NamedTempFile::new().unwrap();
        write::signed_file(package, &signer, file.path()).unwrap();
        let in_memory = write::signed(package, &signer).unwrap().1;
        assert_eq!(fs::read(file.path()).unwrap(), in_memory);
    }

    /// Judged alone, every record gives what the manifest says, and no id comes twice unmarked.
    #[test]
    fn records_judged_alone_give_the_findings_of_the_manifest() {
        let region = Region::new(5, 2_000);
        for package in region.packages(3) {
            let content = write::survey(&package).unwrap();
            let bytes = write::write(&package, &content.header, Vec::new()).unwrap();
            let rules = Rules {
                dictionaries: Dictionaries::built_in().into(),
                supplier: 1,
                versions: content.header.dictionaries.clone(),
                strict_checksums: false,
                today: content.header.snapshot_at.date_naive(),
            };
            let mut found = Vec::new();
            let mut ids = HashSet::new();
            let mut reader = Reader::new(bytes.as_slice());
            while let Some(raw) = reader.next_record().unwrap() {
                let draft = normalise::record(&raw, &rules);
                found.extend(
                    draft.findings.iter().map(|f| (f.code.as_str(), f.external_id.clone())),
                );
                if !ids.insert((raw.kind, raw.external_id().to_owned())) {
                    found.push(("FLK_DUP_IN_PACKAGE", raw.external_id().to_owned()));
                }
            }
            let between = ["FLK_REF_MISSING", "MERGE_CANDIDATE", "SNILS_CONFLICT"];
            let alone = content.expected.into_iter().filter(|e| !between.contains(&e.code));
            let alone: Vec<_> = alone.map(|e| (e.code, e.external_id)).collect();
            assert_eq!(found, alone, "{}", package.name());
        }
    }
}
