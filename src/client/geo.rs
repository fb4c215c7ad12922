//! Where a client's address is registered: its country and its network's number.
//!
//! Databases are the operator's, in MaxMind's format. They are held in memory:
//! one that is written over while it is mapped would end the process.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use maxminddb::{MaxMindDbError, PathElement, Reader};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::fault::Faults;
use crate::units::Unreadable;
use crate::watch::{Holdings, Refresh, Watched, read_file};

/// The largest database read; those of whole cities take a tenth of it.
const LARGEST: u64 = 1 << 30;
/// As many networks as may come before the first that says what is asked for:
/// reserved ones and satellites stand at the start of real databases.
const FIRST_NETWORKS: usize = 10_000;

const COUNTRY: &[PathElement<'static>] =
    &[PathElement::Key("country"), PathElement::Key("iso_code")];
const ASN: &[PathElement<'static>] = &[PathElement::Key("autonomous_system_number")];

/// The section `clients.geo`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// A database of countries, or of cities.
    pub country: Option<PathBuf>,
    /// A database of autonomous systems.
    pub asn: Option<PathBuf>,
}

/// The databases that there are.
#[derive(Debug, Default)]
pub(crate) struct Geo {
    country: Option<Arc<Watched<Database>>>,
    asn: Option<Arc<Watched<Database>>>,
}

impl Geo {
    pub(crate) fn new(config: &Config) -> Result<Self, Faults> {
        let mut faults = Faults::none();
        let mut open = |key, path: &Option<PathBuf>, read: fn(&Path) -> Result<_, Vec<String>>| {
            let Some(path) = path else { return Some(None) };
            let opened = Watched::open(path, read).map_err(Faults::each);
            faults.collect(key, opened).map(|opened| Some(Arc::new(opened)))
        };
        let country = open("country", &config.country, |path| Database::read(path, Asked::Country));
        let asn = open("asn", &config.asn, |path| Database::read(path, Asked::Asn));
        faults.into_result(|| Some(Geo { country: country?, asn: asn? }))
    }

    /// The country of an address; none if nobody knows.
    pub(crate) fn country(&self, address: IpAddr) -> Option<Country> {
        self.country.as_ref()?.load().country(address)
    }

    /// The number of the autonomous system of an address; none if nobody knows.
    pub(crate) fn asn(&self, address: IpAddr) -> Option<u32> {
        self.asn.as_ref()?.load().asn(address)
    }

    /// The files, to be read again when they change.
    pub(crate) fn files(&self) -> impl Iterator<Item = Arc<dyn Refresh>> {
        let files = self.country.iter().chain(&self.asn).cloned();
        files.map(|file| -> Arc<dyn Refresh> { file })
    }
}

/// Where a client's address is registered, as far as anybody asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub country: Option<Country>,
    pub asn: Option<u32>,
}

/// A country by its two letters (ISO 3166-1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Country([u8; 2]);

impl Country {
    pub(crate) const FORMAT: &str = "country";

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("two letters of ASCII")
    }

    fn read(code: &str) -> Option<Self> {
        let code = <[u8; 2]>::try_from(code.as_bytes()).ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(Country(code))
    }
}

impl FromStr for Country {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        Country::read(text).ok_or_else(|| {
            let upper = text.to_ascii_uppercase();
            let example = Country::read(&upper).map_or("DE", |_| upper.as_str());
            Unreadable(format!("`{text}` is no country; write two capital letters like {example}"))
        })
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Country {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl JsonSchema for Country {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Self::FORMAT.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": Self::FORMAT })
    }
}

/// What a database is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Country,
    Asn,
}

/// A database, checked as a whole.
struct Database(Reader<Vec<u8>>);

impl Database {
    fn read(path: &Path, asked: Asked) -> Result<Self, Vec<String>> {
        let named = |what: &dyn fmt::Display| vec![format!("{}: {what}", path.display())];
        let broken = |error: MaxMindDbError| named(&error);
        let bytes = read_file(path, LARGEST).map_err(|what| named(&what))?;
        let reader = Reader::from_source(bytes).map_err(broken)?;
        reader.verify().map_err(broken)?;
        let database = Database(reader);
        // One of another kind would know nobody, and a list of countries to refuse none.
        if !database.knows(asked) {
            let kind = &database.0.metadata().database_type;
            let what = match asked {
                Asked::Country => "holds no countries",
                Asked::Asn => "holds no numbers of autonomous systems",
            };
            return Err(named(&format_args!("{what}; it is a database of {kind}")));
        }
        Ok(database)
    }

    fn knows(&self, asked: Asked) -> bool {
        let networks = self.0.networks(maxminddb::WithinOptions::default());
        let mut found = networks.into_iter().flatten().take(FIRST_NETWORKS).flatten();
        found.any(|found| match asked {
            Asked::Country => matches!(found.decode_path::<&str>(COUNTRY), Ok(Some(_))),
            Asked::Asn => matches!(found.decode_path::<u32>(ASN), Ok(Some(_))),
        })
    }

    fn country(&self, address: IpAddr) -> Option<Country> {
        Country::read(self.0.lookup(address).ok()?.decode_path(COUNTRY).ok()??)
    }

    fn asn(&self, address: IpAddr) -> Option<u32> {
        self.0.lookup(address).ok()?.decode_path(ASN).ok()?
    }
}

impl Holdings for Database {
    fn told(&self) -> String {
        format!("{} of {} nodes", self.0.metadata().database_type, self.0.metadata().node_count)
    }

    fn is_empty(&self) -> bool {
        // One that knows nobody is none.
        false
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.0.metadata().database_type).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_two_capital_letters() {
        assert_eq!("DE".parse::<Country>().map(|country| country.to_string()).as_deref(), Ok("DE"));
        for (bad, hint) in [("de", "like DE"), ("no", "like NO"), ("GER", "like DE"), ("D1", "DE")]
        {
            let Unreadable(what) = bad.parse::<Country>().expect_err(bad);
            assert!(what.contains(hint), "{what}");
        }
        for bad in ["", "D", "ÄÖ", "D E"] {
            assert!(bad.parse::<Country>().is_err(), "{bad}");
        }
    }

    #[test]
    fn nobody_knows_without_a_database() {
        let geo = Geo::new(&Config::default()).expect("nothing to read");
        let address = "192.0.2.1".parse().expect("an address");
        assert_eq!((geo.country(address), geo.asn(address)), (None, None));
        assert_eq!(geo.files().count(), 0);
    }

    #[test]
    fn what_is_no_database_is_a_fault_with_its_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("country.mmdb");
        std::fs::write(&path, "not one").expect("writable");
        let config = Config { country: Some(path.clone()), asn: Some(dir.path().join("none")) };
        let faults = Geo::new(&config).expect_err("no databases");
        let said: Vec<String> = faults.iter().map(|f| format!("{}: {}", f.at, f.what)).collect();
        assert_eq!(said.len(), 2);
        assert!(said[0].starts_with(&format!("country: {}: ", path.display())), "{said:?}");
        assert!(said[1].ends_with("No such file or directory (os error 2)"), "{said:?}");
    }
}
