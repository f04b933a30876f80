//! Lists of samplers, as they are typed.

/// Cuts a list at its commas, but not at those between the settings of one name.
pub fn names(list: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for part in list.split(',') {
        match names.last_mut() {
            Some(last) if part.contains('=') && !part.contains(':') => {
                last.push(',');
                last.push_str(part);
            }
            _ => names.push(part.to_owned()),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_stay_with_their_name() {
        assert_eq!(names("rff:nu=2,prior=0.75,uniform,rff:floor=0"), ["rff:nu=2,prior=0.75", "uniform", "rff:floor=0"]);
    }
}
