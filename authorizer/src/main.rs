//! The `bootstrap` of both Lambda functions. The environment selects the role.

use std::process::ExitCode;

fn main() -> ExitCode {
    authorizer::run()
}
