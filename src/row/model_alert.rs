//! Model alerts, which the API calls model breaches: an element of `/modelbreaches` to a row with
//! `dtProduct_s == "Policy Breach"`.
//!
//! The columns are those of Darktrace's own push to the retired Data Collector API, as the published rules and the
//! workbook read them (<https://github.com/Azure/Azure-Sentinel/tree/master/Solutions/Darktrace>).

use super::additional::{DEVICE, Entries, MODEL, Rest};
use super::columns::{Embedded, Row, embed};
use super::components::{self, Found};
use super::value::{self, present, quoted};
use super::walk::Walk;
use super::{Context, Fields, Identity, Times, nested};
use std::borrow::Cow;

/// Fields of a model that only tell how it is built, and the note of its last edit. They are the same for every alert of
/// the model and can be looked up on the appliance, so they are not stored with each alert.
// Sorted, because it is searched by halves.
const DEFINITION: [&str; 16] = [
    "active",
    "activeTimes",
    "autoSuppress",
    "autoUpdatable",
    "autoUpdate",
    "created",
    "defeats",
    "delay",
    "edited",
    "interval",
    "logic",
    "message",
    "modified",
    "sequenced",
    "sharedEndpoints",
    "throttle",
];

/// A model alert, its top-level fields told apart.
#[derive(Debug, Default)]
pub struct ModelAlert<'a> {
    pbid: Option<&'a str>,
    time: Option<&'a str>,
    creation_time: Option<&'a str>,
    score: Option<&'a str>,
    percent_score: Option<&'a str>,
    breach_url: Option<&'a str>,
    model: Option<&'a str>,
    device: Option<&'a str>,
    components: Option<&'a str>,
    techniques: Option<&'a str>,
    rest: Rest<'a>,
}

impl<'a> Fields<'a> for ModelAlert<'a> {
    fn field(&mut self, key: Cow<'a, str>, raw: &'a str) {
        let slot = match &*key {
            "pbid" => &mut self.pbid,
            "time" => &mut self.time,
            "creationTime" => &mut self.creation_time,
            "score" => &mut self.score,
            "percentscore" => &mut self.percent_score,
            "breachUrl" => &mut self.breach_url,
            "model" => &mut self.model,
            "device" => &mut self.device,
            "triggeredComponents" => &mut self.components,
            "mitreTechniques" => &mut self.techniques,
            _ => return self.rest.push(key, raw),
        };
        *slot = present(raw);
    }

    fn end(&mut self) {
        self.rest.settle();
    }
}

impl<'a> ModelAlert<'a> {
    pub(super) fn id(&self) -> Option<Cow<'a, str>> {
        self.pbid.and_then(value::scalar)
    }

    pub(super) fn times(&self) -> Times {
        let happened = self.time.and_then(value::instant);
        Times { created: self.creation_time.and_then(value::instant), happened: happened.map(|at| (at, at)) }
    }

    pub(super) fn score(&self) -> Option<u8> {
        let percent = self.percent_score.and_then(|raw| value::percent(raw, 1.0));
        percent.or_else(|| self.score.and_then(|raw| value::percent(raw, 100.0)))
    }

    pub(super) fn model_name(&self) -> Option<Cow<'a, str>> {
        self.model().name.map(value::text)
    }

    /// The model as it was when the alert was raised, else as it is given, else as it is now.
    fn model(&self) -> Model<'a> {
        let mut given: Model<'a> = self.model.and_then(nested).unwrap_or_default();
        let then = given.then.and_then(nested::<Model<'_>>);
        let chosen = then.or_else(|| given.now.filter(|_| !given.is_flat()).and_then(nested));
        given.rest.keep_unless(given.then.is_none_or(is_object), "then", given.then);
        given.rest.keep_unless(given.now.is_none_or(is_object), "now", given.now);
        let Some(mut model) = chosen else { return given };
        model.rest.append(given.rest);
        model.rest.settle();
        model
    }

    pub(super) fn write_row(&self, context: &Context<'_>, identity: &Identity<'_>, out: &mut Vec<u8>) -> u32 {
        let Times { created, happened } = self.times();
        let happened = happened.map(|(at, _)| at);
        let mut row = Row::begin("Policy Breach", created.or(happened), context, identity, out);
        let mut kept = Rest::default();
        if let Some(at) = happened {
            row.plain("breachTime_s", &at.naive());
        }
        kept.keep_unless(happened.is_some(), "time", self.time);
        kept.push("creationTime", self.creation_time.unwrap_or("null"));
        self.write_link(context, &mut row, &mut kept);
        self.write_score(&mut row, &mut kept);
        kept.keep_unless(row.real("threatID_d", self.pbid), "pbid", self.pbid);
        let found = self.write_components(&mut row);
        let mut model = self.model();
        model.write(self.techniques, &mut row);
        kept.keep_unless(self.model.is_none_or(is_object), MODEL, self.model);
        let mut device: Device<'_> =
            self.device.filter(|raw| is_object(raw)).or(found.device).and_then(nested).unwrap_or_default();
        device.write(&mut row);
        kept.keep_unless(self.device.is_none_or(is_object), DEVICE, self.device);
        write_destination(&found, &mut row, &mut kept);
        row.additional(|entries| {
            entries.rest(&kept);
            entries.rest(&self.rest);
            entries.group(MODEL, |entries| entries.rest(&model.rest));
            entries.group(DEVICE, |entries| device.enter(entries));
        });
        row.end()
    }

    /// The address of the alert in the Threat Visualizer. Built from the id when the appliance does not know its own name.
    fn write_link(&self, context: &Context<'_>, row: &mut Row<'_>, kept: &mut Rest<'a>) {
        let id = self.id();
        let given = self.breach_url.map(value::text);
        let given = given.as_deref();
        let tells = |url: &&str| match &id {
            Some(id) => url.strip_suffix(&**id).is_some_and(|url| url.ends_with("#modelbreach/")),
            None => true,
        };
        let link = match (given.filter(tells), &id) {
            (Some(url), _) => Cow::Borrowed(url),
            (None, Some(id)) => Cow::Owned([context.base_url, "/#modelbreach/", id].concat()),
            (None, None) => return,
        };
        row.text("breachUrl_s", &link);
        row.text("details_s", &link);
        kept.keep_unless(given.is_none_or(|given| given == link), "breachUrl", self.breach_url);
    }

    fn write_score(&self, row: &mut Row<'_>, kept: &mut Rest<'a>) {
        row.small("score_d", self.score());
        let bent = |raw: Option<&str>, scale| raw.is_some_and(|raw| value::exceeds_percent(raw, scale));
        kept.keep_unless(!bent(self.percent_score, 1.0), "percentscore", self.percent_score);
        kept.keep_unless(!bent(self.score, 100.0), "score", self.score);
    }

    fn write_components(&self, row: &mut Row<'_>) -> Found<'a> {
        let Some(raw) = self.components else { return Found::default() };
        if !raw.starts_with('[') {
            row.string("triggeredComponents_s", Some(raw));
            return Found::default();
        }
        let mut list = row.list("triggeredComponents_s");
        let found = components::write(raw, &mut list);
        list.close();
        found
    }
}

fn is_object(raw: &str) -> bool {
    raw.starts_with('{')
}

fn write_destination<'a>(found: &Found<'a>, row: &mut Row<'_>, kept: &mut Rest<'a>) {
    let ip = found.destination_ip();
    row.address("destIP_s", ip);
    kept.keep_unless(ip.is_some(), "destinationIP", found.destination_refused);
    row.string("destPort_s", found.destination_port());
    row.string("destHost_s", found.destination_host.value);
    row.string("sourcePort_s", found.source_port.value);
    row.string("Message", found.message());
}

#[derive(Default)]
struct Model<'a> {
    then: Option<&'a str>,
    now: Option<&'a str>,
    name: Option<&'a str>,
    pid: Option<&'a str>,
    uuid: Option<&'a str>,
    description: Option<&'a str>,
    category: Option<&'a str>,
    priority: Option<&'a str>,
    compliance: Option<&'a str>,
    tags: Option<&'a str>,
    mitre: Option<&'a str>,
    actions: Option<&'a str>,
    rest: Rest<'a>,
}

impl<'a> Fields<'a> for Model<'a> {
    fn field(&mut self, key: Cow<'a, str>, raw: &'a str) {
        let slot = match &*key {
            "then" => &mut self.then,
            "now" => &mut self.now,
            "name" => &mut self.name,
            "pid" => &mut self.pid,
            "uuid" => &mut self.uuid,
            "description" => &mut self.description,
            "category" => &mut self.category,
            "priority" => &mut self.priority,
            "compliance" => &mut self.compliance,
            "tags" => &mut self.tags,
            "mitre" => &mut self.mitre,
            "actions" => &mut self.actions,
            other if DEFINITION.binary_search(&other).is_ok() => return,
            _ => return self.rest.push(key, raw),
        };
        *slot = present(raw);
    }

    fn end(&mut self) {
        self.rest.settle();
    }
}

impl<'a> Model<'a> {
    fn is_flat(&self) -> bool {
        self.name.or(self.uuid).or(self.pid).is_some()
    }

    /// Writes the columns, and puts what they do not hold into `rest`.
    fn write(&mut self, techniques: Option<&'a str>, row: &mut Row<'_>) {
        row.string("modelName_s", self.name);
        self.rest.keep_unless(row.real("pid_d", self.pid), "pid", self.pid);
        row.string(if self.uuid.is_some_and(value::is_guid) { "uuid_g" } else { "uuid_s" }, self.uuid);
        write_description(self.description, row);
        self.write_category(row);
        self.rest.keep_unless(row.boolean("compliance_b", self.compliance), "compliance", self.compliance);
        write_texts("tags_s", self.tags, row);
        self.write_techniques(techniques, row);
        self.write_antigena(row);
        self.rest.keep_unless(false, "priority", self.priority);
        self.rest.keep_unless(false, "mitre", self.mitre);
    }

    /// Models had no category before version 5; it follows from the priority.
    fn write_category(&self, row: &mut Row<'_>) {
        if self.category.is_some() {
            return row.string("Category", self.category);
        }
        let priority = self.priority.and_then(value::number);
        match priority.filter(|priority| priority.fract() == 0.0) {
            Some(0.0..=3.0) => row.plain("Category", "Informational"),
            Some(4.0) => row.plain("Category", "Suspicious"),
            Some(5.0) => row.plain("Category", "Critical"),
            _ => {}
        }
    }

    fn write_techniques(&self, given: Option<&'a str>, row: &mut Row<'_>) {
        let of_model = self.mitre.and_then(nested::<Techniques<'_>>).and_then(|mitre| mitre.0);
        let filled = |raw: &&str| Walk::array(raw).is_some_and(|mut walk| walk.item().is_some());
        let Some(raw) = given.filter(filled).or(of_model).or(given) else { return };
        let Some(mut walk) = Walk::array(raw) else { return row.string("mitreTechniques_s", Some(raw)) };
        let mut list = row.list("mitreTechniques_s");
        while let Some(item) = walk.item() {
            list.item(|out| write_technique(item, out));
        }
        list.close();
    }

    /// Whether the model calls for a response, and if so for which.
    fn write_antigena(&mut self, row: &mut Row<'_>) {
        let actions = self.actions.and_then(nested::<Antigena<'_>>);
        match actions.as_ref().and_then(|actions| actions.0) {
            Some(raw) => {
                let walk = Walk::object(raw).or_else(|| Walk::array(raw));
                let called = walk.map_or_else(|| value::boolean(raw) != Some(false), |mut walk| walk.item().is_some());
                row.flag("antigena_b", called);
                self.rest.keep_unless(!called, "antigena", Some(raw));
            }
            None => self.rest.keep_unless(self.actions.is_none_or(is_object), "actions", self.actions),
        }
    }
}

#[derive(Default)]
struct Techniques<'a>(Option<&'a str>);

impl<'a> Fields<'a> for Techniques<'a> {
    fn field(&mut self, key: Cow<'a, str>, raw: &'a str) {
        if key == "techniques" {
            self.0 = present(raw);
        }
    }
}

#[derive(Default)]
struct Antigena<'a>(Option<&'a str>);

impl<'a> Fields<'a> for Antigena<'a> {
    fn field(&mut self, key: Cow<'a, str>, raw: &'a str) {
        if key == "antigena" {
            self.0 = present(raw);
        }
    }
}

/// Writes a technique as the published rules read it, `{"technique":…,"techniqueId":…}`. The API spells `techniqueID`, and
/// inside of a model gives the bare id.
fn write_technique(item: &str, out: &mut Vec<u8>) {
    let (mut name, mut id) = (None, None);
    match Walk::object(item) {
        Some(mut walk) => {
            while let Some(key) = walk.key() {
                match (&*key, present(walk.value())) {
                    ("technique", raw) => name = raw,
                    ("techniqueID" | "techniqueId", raw) => id = raw,
                    _ => {}
                }
            }
        }
        None => id = present(item),
    }
    if name.or(id).is_some() {
        let mut technique = Embedded::begin(out);
        technique.field(b"technique", name);
        technique.field(b"techniqueId", id);
        technique.end();
    }
}

/// A string column with the JSON text of an array, without its empty texts.
pub(super) fn write_texts(name: &str, raw: Option<&str>, row: &mut Row<'_>) {
    let Some(mut walk) = raw.and_then(Walk::array) else { return row.string(name, raw) };
    let mut list = row.list(name);
    while let Some(item) = walk.item() {
        list.item(|out| present(item).into_iter().for_each(|item| embed(item, out)));
    }
    list.close();
}

/// Some models carry their line breaks as a backslash and an `n`.
fn write_description(raw: Option<&str>, row: &mut Row<'_>) {
    match raw.filter(|raw| quoted(raw).is_some() && raw.contains("\\\\n")) {
        Some(raw) => row.text("description_s", &value::text(raw).replace("\\n", "\n")),
        None => row.string("description_s", raw),
    }
}

#[derive(Default)]
struct Device<'a> {
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
    fn write(&mut self, row: &mut Row<'_>) {
        self.rest.keep_unless(row.real("deviceId_d", self.did), "did", self.did);
        self.rest.keep_unless(row.real("sid_d", self.sid), "sid", self.sid);
        self.rest.keep_unless(row.address("SourceIP", self.ip), "ip", self.ip);
        row.string("hostname_s", self.hostname);
        row.string("sourceHost_s", self.hostname);
        row.string("sourceMac_s", self.mac);
        row.string("typeLabel_s", self.type_label);
    }
    fn enter(&self, entries: &mut Entries<'_>) {
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
