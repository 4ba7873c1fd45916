//! What must be true once everything is well again, whatever has happened.

mod claims;
mod limits;
mod order;
mod read_models;
mod requests;

use crate::{cluster::DATABASE, installation::Installation, journals::Journals};

/// How many problems are told; one fault may have many.
const TOLD: usize = 20;

/// Everything that is wrong; nothing, if all is well.
pub(crate) async fn all(installation: &Installation) -> Vec<String> {
    let mut owner = installation.cluster.connect(DATABASE).await;
    let journals = Journals::read(&mut owner).await;
    let mut problems = installation.world.ledger.complaints();
    problems.extend(installation.panics());
    problems.extend(order::problems(&journals));
    problems.extend(requests::problems(&journals, &installation.world.ledger.entries()));
    problems.extend(limits::problems(&journals));
    problems.extend(claims::problems(installation, &journals).await);
    problems.extend(read_models::problems(installation, &mut owner).await);
    let untold = problems.len().saturating_sub(TOLD);
    problems.truncate(TOLD);
    if untold > 0 {
        problems.push(format!("and {untold} more"));
    }
    problems
}
