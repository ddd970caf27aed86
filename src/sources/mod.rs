//! Connectors: what a system or a folder of files says, as canonical Arrow batches plus rejects.
//!
//! ```text
//!  list ──► InputFile ──► read ──────────────────────► Decoded { batch, rejects, rows_read }
//!                    └──► stream_raw ► the user's SQL ──► canonicalise ──► Decoded
//! ```
//! A source only reads and decodes. It must not know a SQL session, a lake table's history or a
//! commit; the shape of each table is handed to it as a [`TableSpec`]. Every input row ends as one
//! canonical row or one [`Reject`]: `rows_read = batch rows + rejects`, always.

mod decode;
mod error;
mod files;
mod spec;
mod vocabulary;

pub use decode::canonicalise;
pub use error::SourceError;
pub use files::{FilesSource, Listing, Mapping};
pub use spec::{Compression, Decoded, Format, InputFile, Places, Reject, TableSpec};
