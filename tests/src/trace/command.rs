//! The words of a command.

use omnipaxos_core::paxos::{Message, NodeId};
use thiserror::Error;

/// Why a line is no command, or cannot be carried out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CommandError {
    /// No such command.
    #[error("no command is called {0}")]
    Unknown(String),
    /// A word is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A word is not what it should be.
    #[error("{word} is no {what}")]
    Word {
        /// The word.
        word: String,
        /// What was looked for.
        what: &'static str,
    },
    /// It cannot be done now.
    #[error("{0}")]
    Impossible(String),
}

/// The words of a line, taken from the left.
#[derive(Clone, Debug)]
pub(super) struct Words<'a> {
    words: std::iter::Peekable<std::str::SplitWhitespace<'a>>,
}

impl<'a> Words<'a> {
    pub(super) fn of(line: &'a str) -> Self {
        Self { words: line.split_whitespace().peekable() }
    }

    pub(super) fn next(&mut self, what: &'static str) -> Result<&'a str, CommandError> {
        self.words.next().ok_or(CommandError::Missing(what))
    }

    pub(super) fn peek(&mut self) -> Option<&'a str> {
        self.words.peek().copied()
    }

    pub(super) fn number(&mut self, what: &'static str) -> Result<u64, CommandError> {
        number(self.next(what)?, what)
    }

    /// All words that are left.
    pub(super) fn rest(&mut self) -> Vec<&'a str> {
        self.words.by_ref().collect()
    }

    /// Numbers, as far as there are any.
    pub(super) fn numbers(&mut self) -> Vec<u64> {
        let mut numbers = Vec::new();
        while let Some(number) = self.peek().and_then(|word| word.parse().ok()) {
            numbers.push(number);
            self.words.next();
        }
        numbers
    }

    /// `key=number` pairs up to the end.
    pub(super) fn settings(&mut self) -> Result<Vec<(&'a str, u64)>, CommandError> {
        let pair = |word: &'a str| {
            let (key, value) = word
                .split_once('=')
                .ok_or(CommandError::Word { word: word.to_owned(), what: "setting" })?;
            Ok((key, number(value, "number")?))
        };
        self.rest().into_iter().map(pair).collect()
    }
}

pub(super) fn number(word: &str, what: &'static str) -> Result<u64, CommandError> {
    word.parse().map_err(|_| CommandError::Word { word: word.to_owned(), what })
}

/// Directed links: `1->2` one, `1-2` both directions, `1-*` all of a server.
pub(super) fn links(word: &str, pids: &[NodeId]) -> Result<Vec<(NodeId, NodeId)>, CommandError> {
    if let Some((from, to)) = word.split_once("->") {
        return Ok(vec![(number(from, "pid")?, number(to, "pid")?)]);
    }
    let wrong = || CommandError::Word { word: word.to_owned(), what: "link" };
    let (one, other) = word.split_once('-').ok_or_else(wrong)?;
    let one = number(one, "pid")?;
    let others: Vec<NodeId> = match other {
        "*" => pids.iter().copied().filter(|pid| *pid != one).collect(),
        pid => vec![number(pid, "pid")?],
    };
    Ok(others.into_iter().flat_map(|other| [(one, other), (other, one)]).collect())
}

/// Which messages a command is about: of a link, of a kind, the first of them, or all.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    link: Option<(NodeId, NodeId)>,
    kind: Option<String>,
    pub(super) first: bool,
}

impl Filter {
    pub(super) fn of(words: &mut Words<'_>) -> Result<Self, CommandError> {
        let mut filter = Self::default();
        for word in words.rest() {
            if word == "first" {
                filter.first = true;
            } else if let Some((from, to)) = word.split_once("->") {
                filter.link = Some((number(from, "pid")?, number(to, "pid")?));
            } else if word.starts_with(char::is_uppercase) {
                filter.kind = Some(word.to_owned());
            } else if word != "all" {
                return Err(CommandError::Word {
                    word: word.to_owned(),
                    what: "link or kind of message",
                });
            }
        }
        Ok(filter)
    }

    pub(super) fn matches(&self, message: &Message) -> bool {
        self.link.is_none_or(|link| link == (message.from, message.to))
            && self.kind.as_ref().is_none_or(|kind| kind == message.body.name())
    }
}
