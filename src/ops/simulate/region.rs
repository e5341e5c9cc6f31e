//! The plan of a synthetic region: who learns where, who belongs to which family. Everything
//! follows from the seed and an index, so nothing is kept in memory.

use std::ops::Range;

use chrono::{DateTime, Days, NaiveDate, TimeZone, Utc};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Learners of one class or group.
const CLASS_SIZE: u64 = 24;

/// Parallels of a school.
const PARALLELS: u64 = 11;

/// Ages of a kindergarten: from three to six full years.
const AGES: u64 = 4;

/// Classes of one parallel, groups of one age.
const LETTERS: u64 = 2;

/// Most learners of a school.
pub const SCHOOL_SIZE: u64 = CLASS_SIZE * PARALLELS * LETTERS;

/// Most children of a kindergarten.
pub const KINDERGARTEN_SIZE: u64 = CLASS_SIZE * AGES * LETTERS;

/// Schools and kindergartens of one district.
const DISTRICT_SIZE: u64 = 12;

/// Staff indices kept for one organisation.
const STAFF_ROOM: u64 = 100;

/// A synthetic region.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// Decides every detail.
    pub seed: u64,
    /// Learners of schools; a multiple of four.
    pub pupils: u64,
    /// Learners of schools and kindergartens.
    pub learners: u64,
}

/// What an organisation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// School.
    School,
    /// Kindergarten.
    Kindergarten,
    /// House of children's arts: additional education of pupils of the schools.
    ArtsHouse,
}

/// A school, a kindergarten or a house of arts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Institution {
    /// What it is.
    pub sort: Sort,
    /// Number among its sort, from 0.
    pub number: u64,
}

/// A class or group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// Where it is.
    pub institution: Institution,
    /// 1 to 11 in a school; full years of age in a kindergarten.
    pub level: u64,
    /// 0 for «А».
    pub letter: u64,
}

/// A family: named by its first learner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Family(pub u64);

impl Region {
    /// A region of about so many learners, two thirds of them in schools. Never fewer than 24.
    pub fn new(seed: u64, learners: u64) -> Self {
        let learners = learners.max(24).next_multiple_of(4);
        Self { seed, pupils: (learners * 2 / 3).next_multiple_of(4), learners }
    }

    /// First calendar year of the school year.
    pub fn year(&self) -> i32 {
        2025
    }

    /// The school year as packages write it.
    pub fn school_year(&self) -> String {
        format!("{}/{}", self.year(), self.year() + 1)
    }

    /// When the suppliers read their master data.
    pub fn snapshot_at(&self) -> DateTime<Utc> {
        Utc.with_ymd_and_hms(self.year(), 10, 1, 2, 30, 0).single().unwrap_or_default()
    }

    /// The lesson day with this number, weekends left out.
    pub fn lesson_day(&self, day: u32) -> NaiveDate {
        // 6 October 2025 is a Monday.
        let monday = NaiveDate::from_ymd_opt(self.year(), 10, 6).unwrap_or_default();
        monday + Days::new(u64::from(day / 5 * 7 + day % 5))
    }

    /// A generator for one thing about one index: the same for the same seed.
    pub fn dice(&self, about: &str, index: u64) -> StdRng {
        StdRng::seed_from_u64(self.hash(about, index))
    }

    /// Whether so many of a thousand indices have this.
    pub fn chance(&self, about: &str, index: u64, of_thousand: u64) -> bool {
        self.hash(about, index) % 1000 < of_thousand
    }

    /// A number that scatters over all of `u64`.
    pub fn hash(&self, about: &str, index: u64) -> u64 {
        let about = xxhash_rust::xxh3::xxh3_64_with_seed(about.as_bytes(), self.seed);
        mix(about.wrapping_add(index).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Number of organisations of a sort.
    pub fn count(&self, sort: Sort) -> u64 {
        match sort {
            Sort::School => self.pupils.div_ceil(SCHOOL_SIZE),
            Sort::Kindergarten => (self.learners - self.pupils).div_ceil(KINDERGARTEN_SIZE),
            Sort::ArtsHouse => self.districts(),
        }
    }

    /// Number of districts, each with a management body below the regional one.
    pub fn districts(&self) -> u64 {
        (self.count(Sort::School) + self.count(Sort::Kindergarten)).div_ceil(DISTRICT_SIZE)
    }

    /// The district of an organisation.
    pub fn district(&self, institution: Institution) -> u64 {
        institution.number % self.districts()
    }

    /// The learners of a school or kindergarten.
    pub fn learners_of(&self, institution: Institution) -> Range<u64> {
        let (first, size, end) = match institution.sort {
            Sort::School => (0, SCHOOL_SIZE, self.pupils),
            Sort::Kindergarten => (self.pupils, KINDERGARTEN_SIZE, self.learners),
            Sort::ArtsHouse => return 0..0,
        };
        let from = first + institution.number * size;
        from..(from + size).min(end)
    }

    /// The class of a learner. Pairs of learners go through the levels of their organisation.
    pub fn class_of(&self, learner: u64) -> Class {
        let (sort, at, size, levels, lowest) = if learner < self.pupils {
            (Sort::School, learner, SCHOOL_SIZE, PARALLELS, 1)
        } else {
            (Sort::Kindergarten, learner - self.pupils, KINDERGARTEN_SIZE, AGES, 3)
        };
        let pair = at % size / 2;
        Class {
            institution: Institution { sort, number: at / size },
            level: pair % levels + lowest,
            letter: pair / levels / (CLASS_SIZE / 2),
        }
    }

    /// The classes of an organisation that have a learner.
    pub fn classes_of(&self, institution: Institution) -> impl Iterator<Item = Class> + use<> {
        let (levels, lowest) = match institution.sort {
            Sort::School => (PARALLELS, 1),
            Sort::Kindergarten => (AGES, 3),
            Sort::ArtsHouse => (0, 0),
        };
        let range = self.learners_of(institution);
        let size = range.end - range.start;
        (0..LETTERS).flat_map(move |letter| {
            (0..levels)
                .filter(move |level| (letter * levels * (CLASS_SIZE / 2) + level) * 2 < size)
                .map(move |level| Class { institution, level: level + lowest, letter })
        })
    }

    /// The family of a learner. Of four neighbours the first and the third are brothers or
    /// sisters in neighbouring classes, or else the first and the second are twins.
    pub fn family_of(&self, learner: u64) -> Family {
        let first = learner / 4 * 4;
        Family(match (learner % 4, self.are_twins(first)) {
            (0, _) | (1, true) | (2, false) => first,
            (other, _) => first + other,
        })
    }

    /// Whether this learner, the first of four, and the next one are twins.
    pub fn are_twins(&self, first: u64) -> bool {
        first.is_multiple_of(4) && self.chance("twins", first, 12)
    }

    /// The families whose first learner is in an organisation; a family never spans two.
    pub fn families_of(&self, institution: Institution) -> impl Iterator<Item = Family> + use<> {
        let region = *self;
        self.learners_of(institution)
            .map(move |learner| (learner, region.family_of(learner)))
            .filter(|(learner, family)| *learner == family.0)
            .map(|(_, family)| family)
    }

    /// The children of a family.
    pub fn children_of(&self, family: Family) -> impl Iterator<Item = u64> + use<> {
        let region = *self;
        (family.0..self.learners.min(family.0 + 3)).filter(move |&l| region.family_of(l) == family)
    }

    /// The employees of an organisation, by index.
    pub fn staff_of(&self, institution: Institution) -> Range<u64> {
        let base = match institution.sort {
            Sort::School => 0,
            Sort::Kindergarten => self.count(Sort::School),
            Sort::ArtsHouse => return 0..0,
        };
        let from = (base + institution.number) * STAFF_ROOM;
        from..from + 3 + self.classes_of(institution).count() as u64 * 3 / 2
    }

    /// A number from `range` about an index.
    pub fn draw(&self, about: &str, index: u64, range: Range<u64>) -> u64 {
        range.start + self.hash(about, index) % (range.end - range.start)
    }
}

/// The finaliser of SplitMix64.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_learner_sits_in_a_class_that_exists_and_has_a_family() {
        for learners in [24, 100, 1_000, 3_001] {
            let region = Region::new(1, learners);
            for learner in 0..region.learners {
                let class = region.class_of(learner);
                assert!(region.learners_of(class.institution).contains(&learner));
                assert!(region.classes_of(class.institution).any(|other| other == class));
                let family = region.family_of(learner);
                assert!(region.children_of(family).any(|child| child == learner));
                assert!(region.families_of(class.institution).any(|other| other == family));
            }
        }
    }
}
