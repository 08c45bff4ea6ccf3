//! The journeys, in one binary that links once.

#[cfg(test)]
mod handler;
#[cfg(test)]
mod host;
