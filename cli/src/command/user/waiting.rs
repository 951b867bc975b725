//! `authflow user waiting`: whose accounts may no more be used, and whose sessions go on all the same since they were too many at once.

use serde::Serialize;

use crate::{
    context::Context,
    error::Error,
    output::{Output, table::Table},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Waiting {}

#[derive(Serialize)]
struct Row {
    user: String,
    uid: u32,
    why: String,
}

impl Waiting {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        let Self {} = self;
        let rows: Vec<Row> = context
            .daemon()?
            .waiting()?
            .into_iter()
            .map(|waiting| Row { user: waiting.user, uid: waiting.uid, why: waiting.why })
            .collect();
        Ok(context.output.either(&rows, || table(context.output, &rows))?)
    }
}

fn table(output: Output, rows: &[Row]) -> String {
    if rows.is_empty() {
        return "nobody waits\n".to_owned();
    }
    let mut table = Table::new(&["USER", "UID", "WHY"]);
    for row in rows {
        table.row([row.user.clone(), row.uid.to_string(), row.why.clone()]);
    }
    table.render(output)
}
