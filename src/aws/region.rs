//! Recognizes a mistyped Region before a call is made. Pure.
//!
//! AWS adds Regions, so a name that is not in the list is never refused for that: only one that cannot be a Region.

use crate::error::Error;
use crate::nearest::nearest;

/// The Regions of all partitions. Source: `partitions.json` of botocore 1.40, without the pseudo-Regions.
const KNOWN: [&str; 44] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-isoe-west-1",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eusc-de-east-1",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "me-west-1",
    "mx-central-1",
    "sa-east-1",
    "sa-west-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-iso-east-1",
    "us-isob-east-1",
    "us-west-1",
    "us-west-2",
];

/// `us-gov-west` of `us-gov-west-1`. `None` if the text does not have the form of every Region: words of letters, and a number.
fn area(region: &str) -> Option<&str> {
    let (area, number) = region.rsplit_once('-')?;
    let is_number = (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    let mut words = area.split('-');
    let is_word =
        |word: &str| (2..=12).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase());
    (is_number && words.clone().count() >= 2 && words.all(is_word)).then_some(area)
}

/// The known Region that was probably meant.
pub(super) fn meant(region: &str) -> Option<&'static str> {
    let plain = region.trim().to_lowercase().replace([' ', '_', '.'], "-");
    // The letter of an Availability Zone, as in `us-east-1a`.
    let of_zone = plain.trim_end_matches(|c: char| c.is_ascii_lowercase());
    [of_zone, &plain]
        .into_iter()
        .find_map(|text| KNOWN.into_iter().find(|known| *known == text))
        .or_else(|| nearest(&plain, KNOWN))
}

/// Refuses what cannot be a Region. A name that can be one, but is probably mistyped, results in a note.
///
/// # Errors
/// Invalid usage. `source` is where the name comes from.
pub(super) fn check(source: &str, region: &str) -> Result<Option<String>, Error> {
    let meant = meant(region);
    let question = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
    let Some(area) = area(region) else {
        let text = format!("{source}: `{region}` cannot be an AWS Region{question}");
        return Err(Error::usage(text).hint("a Region has a name such as `eu-west-1`"));
    };
    // A new Region of a known area has another number.
    if KNOWN.iter().any(|known| self::area(known) == Some(area)) {
        return Ok(None);
    }
    Ok(Some(format!(
        "the Region {region} is not one that this version has in its list{question}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitStatus;

    #[test]
    fn every_known_region_and_a_new_one_are_taken() {
        for region in KNOWN
            .into_iter()
            .chain(["ap-southeast-19", "us-gov-west-2"])
        {
            let checked = check("--region", region);
            assert!(matches!(checked, Ok(None)), "{region}: {checked:?}");
        }
    }

    #[test]
    fn a_region_of_an_unknown_area_is_taken_with_a_note() {
        let note = check("--region", "xx-new-1").ok().flatten();
        let text = "the Region xx-new-1 is not one that this version has in its list";
        assert_eq!(note.as_deref(), Some(text));
    }

    #[test]
    fn what_cannot_be_a_region_is_refused_with_the_one_that_was_meant() {
        for (region, meant) in [
            ("us-east1", Some("us-east-1")),
            ("us-east-1a", Some("us-east-1")),
            ("US-EAST-1", Some("us-east-1")),
            ("us_east_1", Some("us-east-1")),
            ("eu west 1", Some("eu-west-1")),
            ("useast1", Some("us-east-1")),
            ("frankfurt", None),
            ("", None),
        ] {
            let error = check("--region", region).expect_err("a refusal");
            assert_eq!(error.status(), ExitStatus::Usage);
            let text = error.to_string();
            assert!(text.starts_with("--region: `"), "{text}");
            match meant {
                Some(meant) => assert!(
                    text.ends_with(&format!("did you mean `{meant}`?")),
                    "{text}"
                ),
                None => assert!(text.ends_with("cannot be an AWS Region"), "{text}"),
            }
        }
    }

    #[test]
    fn what_can_be_a_region_and_is_probably_mistyped_is_only_noted() {
        for (region, meant) in [("us-eest-1", "us-east-1"), ("eu-wset-2", "eu-west-2")] {
            let note = check("--region", region).ok().flatten().expect("a note");
            assert!(note.contains(&format!("did you mean `{meant}`?")), "{note}");
        }
    }
}
