//! `authflow leftovers`: what runs on although its login is over. Root sees everybody's; `authflow revoke --user U --leftovers` ends it.

use authflow_host::accounts;
use serde::Serialize;

use crate::{
    context::Context,
    error::Error,
    output::{Output, table::Table},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Leftovers {
    /// Only this user's
    #[arg(long, value_name = "USER")]
    user: Option<String>,
}

#[derive(Serialize)]
struct Row {
    pid: u32,
    uid: u32,
    user: Option<String>,
    command: String,
    session: Option<String>,
    unit: Option<String>,
}

impl Leftovers {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        let wanted = self.user.as_deref().map(|user| context.account(user)).transpose()?.map(|account| account.uid);
        let found = context.daemon()?.leftovers()?;
        let text = |text: String| Some(text).filter(|text| !text.is_empty());
        let rows: Vec<Row> = found
            .into_iter()
            .filter(|left| wanted.is_none_or(|uid| uid == left.uid))
            .map(|left| Row {
                pid: left.pid,
                uid: left.uid,
                user: name_of(left.uid),
                command: left.command,
                session: text(left.session),
                unit: text(left.unit),
            })
            .collect();
        Ok(context.output.either(&rows, || table(context.output, &rows))?)
    }
}

fn table(output: Output, rows: &[Row]) -> String {
    if rows.is_empty() {
        return "nothing is left over\n".to_owned();
    }
    let mut table = Table::new(&["PID", "USER", "LEFT BY", "COMMAND"]);
    for row in rows {
        let user = row.user.clone().unwrap_or_else(|| row.uid.to_string());
        let left_by =
            row.unit.as_deref().or_else(|| row.session.as_deref().and_then(|id| id.get(..8))).unwrap_or("a login");
        table.row([row.pid.to_string(), user, left_by.to_owned(), row.command.clone()]);
    }
    table.render(output)
}

/// A user's name. One who is gone has a number.
fn name_of(uid: u32) -> Option<String> {
    accounts::by_uid(uid).ok().flatten().map(|account| account.name)
}
