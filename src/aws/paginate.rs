//! Reads every page of a listing.

use std::future::Future;

use super::AwsError;

/// Requests pages until there is no next token.
///
/// # Errors
/// The error of `ask`.
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
