//! The device of a model alert.

use super::additional::{Entries, Rest};
use super::columns::Row;
use super::value::present;
use super::walk::Walk;
use super::{Fields, nested};
use std::borrow::Cow;

#[derive(Default)]
pub(super) struct Device<'a> {
    did: Option<&'a str>,
    ip: Option<&'a str>,
    sid: Option<&'a str>,
    hostname: Option<&'a str>,
    mac: Option<&'a str>,
    type_label: Option<&'a str>,
    tags: Option<&'a str>,
    rest: Rest<'a>,
}

impl<'a> Fields<'a> for Device<'a> {
    fn field(&mut self, key: Cow<'a, str>, raw: &'a str) {
        let slot = match &*key {
            "did" => &mut self.did,
            "ip" => &mut self.ip,
            "sid" => &mut self.sid,
            "hostname" => &mut self.hostname,
            "macaddress" => &mut self.mac,
            "typelabel" => &mut self.type_label,
            "tags" => &mut self.tags,
            _ => return self.rest.push(key, raw),
        };
        *slot = present(raw);
    }

    fn end(&mut self) {
        self.rest.settle();
    }
}

impl Device<'_> {
    /// Writes the columns, and puts what they do not hold into `rest`.
    pub(super) fn write(&mut self, row: &mut Row<'_>) {
        self.rest.keep_unless(row.real("deviceId_d", self.did), "did", self.did);
        self.rest.keep_unless(row.real("sid_d", self.sid), "sid", self.sid);
        self.rest.keep_unless(row.address("SourceIP", self.ip), "ip", self.ip);
        row.string("hostname_s", self.hostname);
        row.string("sourceHost_s", self.hostname);
        row.string("sourceMac_s", self.mac);
        row.string("typeLabel_s", self.type_label);
    }
    pub(super) fn enter(&self, entries: &mut Entries<'_>) {
        entries.rest(&self.rest);
        if let Some(tags) = self.tags {
            entries.entry("tags", &tag_names(tags));
        }
    }
}

/// The names of the tags, which come as objects or as texts.
fn tag_names(raw: &str) -> Cow<'_, str> {
    let Some(mut walk) = Walk::array(raw) else { return Cow::Borrowed(raw) };
    let mut names = Vec::new();
    while let Some(item) = walk.item() {
        let name = nested::<Named<'_>>(item).map_or_else(|| present(item), |named| named.0);
        if let Some(name) = name {
            names.push(name);
        }
    }
    Cow::Owned(format!("[{}]", names.join(",")))
}

#[derive(Default)]
struct Named<'a>(Option<&'a str>);

impl<'a> Fields<'a> for Named<'a> {
    fn field(&mut self, key: Cow<'a, str>, raw: &'a str) {
        if key == "name" {
            self.0 = present(raw);
        }
    }
}
