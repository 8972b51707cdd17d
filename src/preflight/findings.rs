//! What a plan reports beside its actions.

/// What is known before anything is changed.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// What would make the plan fail.
    pub blockers: Vec<String>,
    /// What stays unchanged, and why.
    pub notices: Vec<String>,
    /// Undeployed changes of others that a deployment would publish.
    pub pending: Vec<String>,
    /// What a new attachment changes in the API.
    pub attaches: Vec<String>,
    /// The monthly price in US dollars of each new resource, with its description.
    pub prices: Vec<(String, f64)>,
    /// The date of the price table.
    pub prices_of: &'static str,
}
