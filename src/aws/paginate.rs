//! Reads every page of a listing.

use std::future::Future;

use super::AwsError;

/// Asks for one page after the other until there is none left.
///
/// # Errors
/// What `ask` fails with.
pub async fn pages<T, Fut>(ask: impl Fn(Option<String>) -> Fut) -> Result<Vec<T>, AwsError>
where
    Fut: Future<Output = Result<(Option<Vec<T>>, Option<String>), AwsError>>,
{
    let mut all = Vec::new();
    let mut token = None;
    loop {
        let (page, next) = ask(token).await?;
        all.extend(page.unwrap_or_default());
        match next {
            Some(next) if !next.is_empty() => token = Some(next),
            _ => return Ok(all),
        }
    }
}
