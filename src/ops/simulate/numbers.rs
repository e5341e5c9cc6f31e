//! Registration numbers with right check digits.

/// The insurance number of the person with this index, 11 digits. Distinct for distinct indices.
pub fn snils(index: u64) -> String {
    let number = 100_000_000 + scatter(index, 123_456_791, 800_000_000);
    let digits = format!("{number:09}");
    let sum: u64 = digits.bytes().zip((1..=9).rev()).map(|(d, w)| u64::from(d - b'0') * w).sum();
    format!("{digits}{:02}", sum % 101 % 100)
}

/// The same with a slip in its check digits.
pub fn wrong_snils(index: u64) -> String {
    let right = snils(index);
    let check: u64 = right[9..].parse().unwrap_or_default();
    format!("{}{:02}", &right[..9], (check + 1) % 99)
}

/// A taxpayer number of an organisation, 10 digits.
pub fn inn(index: u64) -> String {
    let digits = format!("99{:07}", scatter(index, 611_953, 10_000_000));
    let weights = [2, 4, 10, 3, 5, 9, 4, 6, 8];
    let sum: u64 = digits.bytes().zip(weights).map(|(d, w)| u64::from(d - b'0') * w).sum();
    format!("{digits}{}", sum % 11 % 10)
}

/// A state registration number of an organisation, 13 digits.
pub fn ogrn(index: u64) -> String {
    let number = 102_990_000_000 + scatter(index, 611_953, 10_000_000);
    format!("{number}{}", number % 11 % 10)
}

/// A number below `limit`, distinct for distinct indices below it: `factor` shares no divisor
/// with `limit`.
pub fn scatter(index: u64, factor: u64, limit: u64) -> u64 {
    let wide = u128::from(index) * u128::from(factor) % u128::from(limit);
    u64::try_from(wide).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise::checksum;

    #[test]
    fn check_digits_are_right_except_where_a_slip_is_meant() {
        for index in 0..5_000 {
            assert!(checksum::snils(&snils(index)) && !checksum::snils(&wrong_snils(index)));
            assert!(checksum::inn(&inn(index)) && checksum::ogrn(&ogrn(index)));
        }
    }
}
