//! Check digits of Russian registration numbers. Every function takes digits only.

/// Numbers up to this one were given out before check digits.
const SNILS_UNCHECKED: u64 = 1_001_998;

/// Whether the 11 digits of an insurance number agree with its check number.
pub fn snils(digits: &str) -> bool {
    let d = values(digits);
    if d.len() != 11 {
        return false;
    }
    let number = d[..9].iter().fold(0u64, |number, &digit| number * 10 + u64::from(digit));
    if number <= SNILS_UNCHECKED {
        return number > 0;
    }
    let sum: u32 = d[..9].iter().zip((1..=9).rev()).map(|(&digit, weight)| digit * weight).sum();
    sum % 101 % 100 == d[9] * 10 + d[10]
}

/// Whether a taxpayer number of 10 or 12 digits agrees with its check digits.
pub fn inn(digits: &str) -> bool {
    let d = values(digits);
    let check = |weights: &[u32]| {
        let sum: u32 = weights.iter().zip(&d).map(|(weight, digit)| weight * digit).sum();
        d.get(weights.len()) == Some(&(sum % 11 % 10))
    };
    match d.len() {
        10 => check(&[2, 4, 10, 3, 5, 9, 4, 6, 8]),
        12 => check(&[7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) && check(&[3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8]),
        _ => false,
    }
}

/// Whether a state registration number of 13 or 15 digits agrees with its check digit.
pub fn ogrn(digits: &str) -> bool {
    let length = digits.len();
    if !matches!(length, 13 | 15) {
        return false;
    }
    let (Ok(number), Ok(check)) =
        (digits[..length - 1].parse::<u64>(), digits[length - 1..].parse::<u64>())
    else {
        return false;
    };
    number % (length as u64 - 2) % 10 == check
}

fn values(digits: &str) -> Vec<u32> {
    digits.chars().filter_map(|c| c.to_digit(10)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_are_told_from_slips() {
        assert!(snils("11223344595") && !snils("11223344596"));
        assert!(snils("00100199800") && !snils("00000000000"));
        assert!(inn("7707083893") && !inn("7707083894") && !inn("8000000002"));
        assert!(inn("500100732259") && !inn("545454545461"));
        assert!(ogrn("1027700132195") && !ogrn("1027700132196"));
        assert!(ogrn("304500116000157"));
    }
}
