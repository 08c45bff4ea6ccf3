//! The alert sources: what the appliance calls each of them, and where its rows go.
//!
//! This is the table that a new source is added to. It knows no HTTP and no columns; how a record of a source becomes a
//! row is in [`crate::row`], how a source is asked in [`crate::darktrace`].

use std::fmt;

/// One kind of alert that the appliance can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Model alerts, which the API still calls model breaches: `GET /modelbreaches`.
    ModelAlerts,
    /// AI Analyst incident events: `GET /aianalyst/incidentevents`.
    AiAnalyst,
}

impl Source {
    /// Every source, in the order in which settings and reports list them.
    pub const ALL: [Self; 2] = [Self::ModelAlerts, Self::AiAnalyst];

    /// The name in settings, logs, blob paths and health rows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ModelAlerts => "model-alerts",
            Self::AiAnalyst => "ai-analyst",
        }
    }

    /// The path on the appliance.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::ModelAlerts => "/modelbreaches",
            Self::AiAnalyst => "/aianalyst/incidentevents",
        }
    }

    /// The table of the `legacy` layout that holds this source's rows.
    #[must_use]
    pub const fn legacy_table(self) -> &'static str {
        match self {
            Self::ModelAlerts | Self::AiAnalyst => "darktrace_model_alerts_CL",
        }
    }

    /// The source of that name, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.name() == name)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_found_by_its_own_name() {
        for source in Source::ALL {
            assert_eq!(Source::named(source.name()), Some(source));
        }
        assert_eq!(Source::named("Model-Alerts"), None);
    }
}
