//! Keys of tokens that come over a network without TLS, as warnings: who sits between
//! and puts another key there signs tokens for anybody.

use crate::config::{Config, Route};

/// A warning for each route.
pub(super) fn of(config: &Config) -> Vec<String> {
    let routes = config.routes.iter().enumerate();
    let warning = |(index, route): (usize, &Route)| {
        route.access.cleartext_keys()?;
        Some(format!(
            "routes[{index}].access.jwt.jwks fetches keys over http, where whoever is between may \
             put others in their place; write https, or a file"
        ))
    };
    routes.filter_map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(jwks: &str, is_warned_of: bool) {
        let route = format!("{{ upstream: app, access: {{ jwt: {{ jwks: '{jwks}' }} }} }}");
        let config: Config = serde_yaml::from_str(&format!("routes: [{route}]")).unwrap();
        let warnings = of(&config);
        assert_eq!(warnings.len(), usize::from(is_warned_of), "{jwks}: {warnings:?}");
        assert!(warnings.iter().all(|warning| warning.starts_with("routes[0].access.jwt.jwks")));
    }

    #[test]
    fn keys_over_http_from_elsewhere_are_warned_of() {
        check("http://keys.example/jwks.json", true);
        check("http://10.0.0.1:8080/jwks.json", true);
        check("http://[2001:db8::1]/jwks.json", true);
        check("https://keys.example/jwks.json", false);
        check("http://localhost:8080/jwks.json", false);
        check("http://127.0.0.1/jwks.json", false);
        check("http://[::1]:8080/jwks.json", false);
        check("http://[::ffff:127.0.0.1]/jwks.json", false);
        check("keys.json", false);
    }
}
