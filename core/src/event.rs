//! The names of log lines. Each product lists its own with [`events!`](crate::events), so that the catalogue in `docs/events.md` can be
//! held against what can be logged.

/// Makes the enum `Event` of a product: every line that it may log, with the word that stands for it.
#[macro_export]
macro_rules! events {
    ($($(#[doc = $told:literal])+ $event:ident = $word:literal),+ $(,)?) => {
        /// Every line that may be logged. `docs/events.md` tells when, with which keys.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Event {
            $($(#[doc = $told])+ $event),+
        }

        impl Event {
            /// All of them.
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$event),+];

            /// The word in the log.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$event => $word),+ }
            }
        }
    };
}
