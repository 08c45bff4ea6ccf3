//! Tokens of Azure and the private token in a key vault: where they come from, how long they are kept, and what is read
//! when they do not come.

mod application;
mod tokens;
mod vault;
