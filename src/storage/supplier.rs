//! Suppliers, their certificates, and the authorities that issue them.
//!
//! Every change bumps `party_change`, by which running processes notice it within a second.

use chrono::{DateTime, Utc};

use crate::args;
use crate::model::ids::SupplierId;
use crate::storage::db::{Db, DbError, Row, Tx};

/// An organisation's subsystem that sends us packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supplier {
    /// Our number of it.
    pub id: SupplierId,
    /// The name it uses in headers.
    pub mnemonic: String,
    /// Name for people.
    pub name: String,
    /// `diary`, `preschool`, `xls` or `other`.
    pub kind: String,
    /// Whether its packages are refused.
    pub blocked: bool,
    /// Whether it may write only the organisations entrusted to it.
    pub limited: bool,
    /// Whether a failed check digit is an error, not a warning.
    pub strict_checksums: bool,
    /// Whether packages marked as test are taken.
    pub test_packages: bool,
    /// Whether packages in windows-1251 and UTF-16 are taken.
    pub other_encodings: bool,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
}

/// A certificate: a supplier's, or an authority's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Lower-case hex of SHA-256 of the DER.
    pub sha256: String,
    /// The certificate.
    pub der: Vec<u8>,
    /// Distinguished name for people.
    pub subject: String,
    /// Start of validity.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
}

const SUPPLIER: &str = "SELECT id, mnemonic, name, kind, status, scope, strict_checksums, \
    test_packages, other_encodings, created_at FROM supplier";

/// All suppliers, by mnemonic.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(db: &Db) -> Result<Vec<Supplier>, DbError> {
    let rows = db.query(&format!("{SUPPLIER} ORDER BY mnemonic"), vec![]).await?;
    rows.iter().map(read_supplier).collect()
}

/// The supplier of this mnemonic.
///
/// # Errors
/// Any [`DbError`].
pub async fn by_mnemonic(db: &Db, mnemonic: &str) -> Result<Option<Supplier>, DbError> {
    let row = db.query_one(&format!("{SUPPLIER} WHERE mnemonic = $1"), args![mnemonic]).await?;
    row.as_ref().map(read_supplier).transpose()
}

/// The number of the supplier of this mnemonic.
///
/// # Errors
/// Any [`DbError`].
pub async fn of_mnemonic(tx: &mut Tx, mnemonic: &str) -> Result<Option<SupplierId>, DbError> {
    let row = tx.query_one("SELECT id FROM supplier WHERE mnemonic = $1", args![mnemonic]).await?;
    row.map(|row| row.get(0).map(SupplierId)).transpose()
}

/// The supplier of this number.
///
/// # Errors
/// Any [`DbError`].
pub async fn by_id(db: &Db, id: SupplierId) -> Result<Option<Supplier>, DbError> {
    let row = db.query_one(&format!("{SUPPLIER} WHERE id = $1"), args![id.0]).await?;
    row.as_ref().map(read_supplier).transpose()
}

/// Registers a supplier, or changes the one of the same mnemonic, whose id and time then stay.
///
/// # Errors
/// Any [`DbError`].
pub async fn save(tx: &mut Tx, supplier: &Supplier) -> Result<(), DbError> {
    let sql = "INSERT INTO supplier (id, mnemonic, name, kind, status, scope, strict_checksums, \
        test_packages, other_encodings, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
        ON CONFLICT (mnemonic) DO UPDATE SET name = $3, kind = $4, status = $5, scope = $6, \
        strict_checksums = $7, test_packages = $8, other_encodings = $9";
    let values = args![
        supplier.id.0,
        supplier.mnemonic.as_str(),
        supplier.name.as_str(),
        supplier.kind.as_str(),
        if supplier.blocked { "blocked" } else { "active" },
        if supplier.limited { "organisations" } else { "region" },
        supplier.strict_checksums,
        supplier.test_packages,
        supplier.other_encodings,
        supplier.created_at,
    ];
    tx.execute(sql, values).await?;
    note_change(tx).await
}

/// Blocks a supplier or lets it in again; says whether there is one.
///
/// # Errors
/// Any [`DbError`].
pub async fn set_blocked(tx: &mut Tx, mnemonic: &str, blocked: bool) -> Result<bool, DbError> {
    let status = if blocked { "blocked" } else { "active" };
    let sql = "UPDATE supplier SET status = $2 WHERE mnemonic = $1";
    let changed = tx.execute(sql, args![mnemonic, status]).await?;
    note_change(tx).await?;
    Ok(changed == 1)
}

/// Entrusts an organisation, by its registry id, to a supplier; says whether that is new.
///
/// # Errors
/// Any [`DbError`].
pub async fn grant(tx: &mut Tx, id: SupplierId, organisation: i64) -> Result<bool, DbError> {
    let sql = "INSERT INTO supplier_organisation (supplier_id, organisation_id) \
        VALUES ($1, $2) ON CONFLICT (supplier_id, organisation_id) DO NOTHING";
    let changed = tx.execute(sql, args![id.0, organisation]).await?;
    note_change(tx).await?;
    Ok(changed == 1)
}

/// Whether the registry has an organisation of this id.
///
/// # Errors
/// Any [`DbError`].
pub async fn is_organisation(tx: &mut Tx, id: i64) -> Result<bool, DbError> {
    let found = tx.query_one("SELECT 1 FROM organisation WHERE id = $1", args![id]).await?;
    Ok(found.is_some())
}

/// Organisations entrusted to a supplier, by registry id.
///
/// # Errors
/// Any [`DbError`].
pub async fn granted(db: &Db, id: SupplierId) -> Result<Vec<i64>, DbError> {
    let sql = "SELECT organisation_id FROM supplier_organisation WHERE supplier_id = $1 \
        ORDER BY organisation_id";
    db.query(sql, args![id.0]).await?.iter().map(|row| row.get(0)).collect()
}

/// Certificates of a supplier, withdrawn ones left out, newest first.
///
/// # Errors
/// Any [`DbError`].
pub async fn certificates(db: &Db, id: SupplierId) -> Result<Vec<Certificate>, DbError> {
    let sql = "SELECT sha256, der, subject, not_before, not_after FROM supplier_certificate \
        WHERE supplier_id = $1 AND withdrawn_at IS NULL ORDER BY not_after DESC, sha256";
    db.query(sql, args![id.0]).await?.iter().map(read_certificate).collect()
}

/// Certificates of all suppliers and federal systems, withdrawn ones left out.
///
/// # Errors
/// Any [`DbError`].
pub async fn certificates_in_use(db: &Db) -> Result<Vec<Certificate>, DbError> {
    let sql = "SELECT sha256, der, subject, not_before, not_after FROM supplier_certificate \
        WHERE withdrawn_at IS NULL UNION SELECT sha256, der, subject, not_before, not_after \
        FROM federal_certificate WHERE withdrawn_at IS NULL ORDER BY sha256";
    db.query(sql, vec![]).await?.iter().map(read_certificate).collect()
}

/// Registers a certificate for a supplier. One that is registered, even if withdrawn, stays
/// with its supplier: says whether it now stands for `id`.
///
/// # Errors
/// Any [`DbError`].
pub async fn add_certificate(
    tx: &mut Tx,
    id: SupplierId,
    certificate: &Certificate,
    at: DateTime<Utc>,
) -> Result<bool, DbError> {
    let sql = "INSERT INTO supplier_certificate (sha256, supplier_id, der, subject, not_before, \
        not_after, added_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
        ON CONFLICT (sha256) DO UPDATE SET withdrawn_at = NULL \
        WHERE supplier_certificate.supplier_id = $2";
    let values = args![
        certificate.sha256.as_str(),
        id.0,
        certificate.der.clone(),
        certificate.subject.as_str(),
        certificate.not_before,
        certificate.not_after,
        at,
    ];
    let changed = tx.execute(sql, values).await?;
    note_change(tx).await?;
    Ok(changed == 1)
}

/// Takes a certificate back; says whether it was in use.
///
/// # Errors
/// Any [`DbError`].
pub async fn withdraw_certificate(
    tx: &mut Tx,
    sha256: &str,
    at: DateTime<Utc>,
) -> Result<bool, DbError> {
    let sql = "UPDATE supplier_certificate SET withdrawn_at = $2 \
        WHERE sha256 = $1 AND withdrawn_at IS NULL";
    let changed = tx.execute(sql, args![sha256, at]).await?;
    note_change(tx).await?;
    Ok(changed == 1)
}

/// The supplier for which a certificate was ever registered, withdrawn or not: its mnemonic.
///
/// # Errors
/// Any [`DbError`].
pub async fn certificate_owner(tx: &mut Tx, sha256: &str) -> Result<Option<String>, DbError> {
    let sql = "SELECT s.mnemonic FROM supplier_certificate c \
        JOIN supplier s ON s.id = c.supplier_id WHERE c.sha256 = $1";
    tx.query_one(sql, args![sha256]).await?.map(|row| row.get(0)).transpose()
}

/// A certificate in use, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// `supplier` or `federal`.
    pub kind: &'static str,
    /// Mnemonic of whose it is.
    pub owner: String,
    /// The certificate.
    pub certificate: Certificate,
}

/// Certificates of suppliers and federal systems that have not been withdrawn.
///
/// # Errors
/// Any [`DbError`].
pub async fn owned(db: &Db) -> Result<Vec<Owned>, DbError> {
    let mut found = Vec::new();
    for (kind, sql) in [
        (
            "supplier",
            "SELECT c.sha256, c.der, c.subject, c.not_before, c.not_after, s.mnemonic \
             FROM supplier_certificate c JOIN supplier s ON s.id = c.supplier_id \
             WHERE c.withdrawn_at IS NULL ORDER BY s.mnemonic, c.not_after, c.sha256",
        ),
        (
            "federal",
            "SELECT c.sha256, c.der, c.subject, c.not_before, c.not_after, s.mnemonic \
             FROM federal_certificate c JOIN federal_system s ON s.id = c.system_id \
             WHERE c.withdrawn_at IS NULL ORDER BY s.mnemonic, c.not_after, c.sha256",
        ),
    ] {
        for row in &db.query(sql, vec![]).await? {
            found.push(Owned { kind, owner: row.get(5)?, certificate: read_certificate(row)? });
        }
    }
    Ok(found)
}

/// DER of all authorities.
///
/// # Errors
/// Any [`DbError`].
pub async fn anchors(db: &Db) -> Result<Vec<Vec<u8>>, DbError> {
    let rows = db.query("SELECT der FROM trust_anchor ORDER BY sha256", vec![]).await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Trusts an authority.
///
/// # Errors
/// Any [`DbError`].
pub async fn add_anchor(
    tx: &mut Tx,
    authority: &Certificate,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    let sql = "INSERT INTO trust_anchor (sha256, der, subject, added_at) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (sha256) DO NOTHING";
    let (sha256, subject) = (authority.sha256.as_str(), authority.subject.as_str());
    tx.execute(sql, args![sha256, authority.der.clone(), subject, at]).await?;
    note_change(tx).await
}

/// Trusts an authority no longer; says whether it was trusted.
///
/// # Errors
/// Any [`DbError`].
pub async fn remove_anchor(tx: &mut Tx, sha256: &str) -> Result<bool, DbError> {
    let changed = tx.execute("DELETE FROM trust_anchor WHERE sha256 = $1", args![sha256]).await?;
    note_change(tx).await?;
    Ok(changed == 1)
}

/// SHA-256 (lower-case hex) of every certificate in use, and whose it is.
///
/// # Errors
/// Any [`DbError`].
pub async fn certificate_owners(db: &Db) -> Result<Vec<(String, SupplierId)>, DbError> {
    let sql = "SELECT sha256, supplier_id FROM supplier_certificate WHERE withdrawn_at IS NULL";
    let rows = db.query(sql, vec![]).await?;
    rows.iter().map(|row| Ok((row.get(0)?, SupplierId(row.get(1)?)))).collect()
}

/// Number of changes of suppliers, certificates and authorities so far.
///
/// # Errors
/// Any [`DbError`].
pub async fn generation(db: &Db) -> Result<i64, DbError> {
    let row = db.query_one("SELECT generation FROM party_change", vec![]).await?;
    row.map_or(Ok(0), |row| row.get(0))
}

pub(super) async fn note_change(tx: &mut Tx) -> Result<(), DbError> {
    let sql = "INSERT INTO party_change (one, generation) VALUES (1, 1) \
        ON CONFLICT (one) DO UPDATE SET generation = party_change.generation + 1";
    tx.execute(sql, vec![]).await.map(|_| ())
}

fn read_certificate(row: &Row) -> Result<Certificate, DbError> {
    Ok(Certificate {
        sha256: row.get(0)?,
        der: row.get(1)?,
        subject: row.get(2)?,
        not_before: row.get(3)?,
        not_after: row.get(4)?,
    })
}

fn read_supplier(row: &Row) -> Result<Supplier, DbError> {
    Ok(Supplier {
        id: SupplierId(row.get(0)?),
        mnemonic: row.get(1)?,
        name: row.get(2)?,
        kind: row.get(3)?,
        blocked: row.get::<String>(4)? == "blocked",
        limited: row.get::<String>(5)? == "organisations",
        strict_checksums: row.get(6)?,
        test_packages: row.get(7)?,
        other_encodings: row.get(8)?,
        created_at: row.get(9)?,
    })
}
