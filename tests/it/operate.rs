//! What an operator does by hand, with the built program: dead letters, the watermark, standstills and test rows.

mod letters;
mod standstill;
mod tap;
mod trial;
mod watermark;

use crate::world::World;
use darktrace_sentinel::source::Source;
use std::collections::BTreeMap;

const PLACES: [Place; 2] = [Place::Directory, Place::Azurite];

/// Where the checkpoint and all else is kept.
#[derive(Clone, Copy, Debug)]
enum Place {
    Directory,
    Azurite,
}

impl World {
    /// A world that polls model alerts alone.
    async fn of_alerts_in(place: Place) -> Self {
        let mut world = match place {
            Place::Directory => Self::new().await,
            Place::Azurite => Self::on_azurite().await,
        };
        world.set("DARKTRACE_SOURCES", Source::ModelAlerts.name());
        world
    }

    /// Everything that is stored, locks aside.
    pub(crate) async fn everything(&self) -> BTreeMap<String, Vec<u8>> {
        let store = self.store();
        let mut documents = BTreeMap::new();
        for name in store.list("").await.unwrap() {
            if !name.starts_with("lock/") && !name.starts_with("replay/") {
                let bytes = store.read(&name).await.unwrap().unwrap().bytes.to_vec();
                documents.insert(name, bytes);
            }
        }
        documents
    }
}
