//! `-p FILE|DIR...`: the policies that a subcommand is given.

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};
use std::path::PathBuf;

/// Policies, and directories of policies: several after one `-p`, or each after a `-p` of its own.
#[derive(Debug, Clone)]
pub(crate) struct PolicyArgs {
    /// What stands after each `-p`.
    given: Vec<Vec<PathBuf>>,
}

impl PolicyArgs {
    /// All of them.
    pub(crate) fn all(&self) -> Vec<PathBuf> {
        self.given.concat()
    }

    /// All of them, where arguments of another kind may follow: `-p POLICY TRACE...`. If none of
    /// these has come by itself, what stands after the first value of the last `-p` is them.
    pub(crate) fn before(&self, others: &[PathBuf]) -> (Vec<PathBuf>, Vec<PathBuf>) {
        if !others.is_empty() {
            return (self.all(), others.to_vec());
        }
        let mut policies = self.all();
        let last = self.given.last().map_or(0, Vec::len);
        let others = policies.split_off(policies.len() - last.saturating_sub(1));
        (policies, others)
    }
}

impl clap::Args for PolicyArgs {
    fn augment_args(command: Command) -> Command {
        command.arg(
            Arg::new("policy")
                .short('p')
                .long("policy")
                .value_name("FILE|DIR")
                .required(true)
                .num_args(1..)
                .action(ArgAction::Append)
                .value_parser(clap::value_parser!(PathBuf))
                .help("Policies, or directories of policies; may be given several times"),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for PolicyArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = matches.get_occurrences("policy").into_iter().flatten();
        Ok(PolicyArgs { given: given.map(|values| values.cloned().collect()).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use clap::{Args as _, Parser};

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        policies: PolicyArgs,
        traces: Vec<PathBuf>,
        #[arg(long)]
        json: bool,
    }

    fn parsed(line: &str) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        cli.policies.before(&cli.traces)
    }

    #[test]
    fn policies_come_together_or_one_by_one_and_traces_before_or_after_them() {
        let paths =
            |text: &str| text.split(' ').filter(|t| !t.is_empty()).map(PathBuf::from).collect();
        for (line, policies, traces) in [
            ("x -p a t", "a", "t"),
            ("x -p a t u", "a", "t u"),
            ("x -p a --json t u", "a", "t u"),
            ("x -p a --policy b t", "a b", "t"),
            ("x t -p a b", "a b", "t"),
            ("x -p a b -- t", "a b", "t"),
            ("x -p a b -p c -- t u", "a b c", "t u"),
            ("x -p a", "a", ""),
        ] {
            let wanted: (Vec<PathBuf>, Vec<PathBuf>) = (paths(policies), paths(traces));
            assert_eq!(parsed(line), wanted, "{line}");
        }
        PolicyArgs::augment_args(Command::new("x")).debug_assert();
    }
}
