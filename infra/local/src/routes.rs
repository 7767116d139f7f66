//! Routing: which function handles which request, as in an API Gateway HTTP API.
//!
//! Owns the matching of method and path. Knows nothing of what a function does.

use std::collections::BTreeMap;

/// API Gateway's name for the default route.
const DEFAULT: &str = "$default";

/// One route of the template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub method: String,
    /// As in the template: `/v1/subjects/{subject}`.
    pub path: String,
    /// The function's name: `access`.
    pub function: String,
    /// Whether only the operator may call it (`AWS_IAM`).
    pub operator: bool,
}

impl Route {
    /// The default route, for requests that match no other.
    pub fn default_of(function: &str) -> Route {
        Route {
            method: String::new(),
            path: DEFAULT.to_owned(),
            function: function.to_owned(),
            operator: false,
        }
    }

    /// The route key in events: `GET /v1/subjects/{subject}`.
    pub fn key(&self) -> String {
        format!("{} {}", self.method, self.path).trim().to_owned()
    }

    /// The path parameters, if the path matches this route. A parameter is never empty.
    fn parameters(&self, path: &str) -> Option<BTreeMap<String, String>> {
        let mut found = BTreeMap::new();
        let mut given = path.split('/');
        for segment in self.path.split('/') {
            let value = given.next()?;
            match parameter(segment) {
                Some(_) if value.is_empty() => return None,
                Some(name) => found.insert(name.to_owned(), decode(value)?),
                None if segment != value => return None,
                None => None,
            };
        }
        given.next().is_none().then_some(found)
    }

    /// Literal segments precede parameters, so that the most specific route wins.
    fn rank(&self) -> Vec<bool> {
        self.path
            .split('/')
            .map(|segment| parameter(segment).is_some())
            .collect()
    }
}

/// Every route, the most specific first, and the default route.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    named: Vec<Route>,
    default: Option<Route>,
}

impl Routes {
    pub fn new(mut routes: Vec<Route>) -> Routes {
        routes.sort_by_key(|route| (route.rank(), route.key()));
        let at = routes.iter().position(|route| route.path == DEFAULT);
        Routes {
            default: at.map(|at| routes.remove(at)),
            named: routes,
        }
    }

    /// Every route except the default.
    pub fn all(&self) -> &[Route] {
        &self.named
    }

    pub fn find(&self, method: &str, path: &str) -> Option<(&Route, BTreeMap<String, String>)> {
        let of_method = self.named.iter().filter(|route| route.method == method);
        of_method
            .filter_map(|route| Some((route, route.parameters(path)?)))
            .next()
            .or_else(|| Some((self.default.as_ref()?, BTreeMap::new())))
    }
}

fn parameter(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// Decodes `%XX`. `None` if the result is not UTF-8.
pub fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |byte: u8| char::from(byte).to_digit(16);
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                let value = hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0);
                bytes.push(u8::try_from(value).unwrap_or(b'?'));
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Routes {
        let route = |method: &str, path: &str| Route {
            method: method.to_owned(),
            path: path.to_owned(),
            function: "any".to_owned(),
            operator: false,
        };
        Routes::new(vec![
            route("GET", "/v1/subjects/{subject}"),
            route("GET", "/v1/subjects"),
            route("GET", "/v1/subjects/{subject}/attachments/{attachment}"),
            route("GET", "/v1/subjects/all"),
            route("DELETE", "/v1/subjects/{subject}"),
        ])
    }

    fn found(method: &str, path: &str) -> Option<String> {
        routes().find(method, path).map(|(route, _)| route.key())
    }

    #[test]
    fn the_most_specific_route_wins() {
        assert_eq!(
            found("GET", "/v1/subjects/all").as_deref(),
            Some("GET /v1/subjects/all")
        );
        assert_eq!(
            found("GET", "/v1/subjects/sub_1").as_deref(),
            Some("GET /v1/subjects/{subject}")
        );
        assert_eq!(
            found("DELETE", "/v1/subjects/all").as_deref(),
            Some("DELETE /v1/subjects/{subject}")
        );
    }

    #[test]
    fn other_methods_slashes_and_empty_parameters_are_not_found() {
        for path in [
            "/v1/subjects/",
            "/v1/subjects//",
            "//v1/subjects",
            "/v1",
            "/",
            "/v1/subjects/a/attachments",
        ] {
            assert_eq!(found("GET", path), None, "{path}");
        }
        assert_eq!(found("POST", "/v1/subjects"), None);
    }

    #[test]
    fn parameters_are_decoded() {
        let routes = routes();
        let (_, parameters) = routes
            .find("GET", "/v1/subjects/a%2Fb%20c/attachments/%C3%A9")
            .unwrap();
        assert_eq!(parameters["subject"], "a/b c");
        assert_eq!(parameters["attachment"], "é");
        assert!(
            routes.find("GET", "/v1/subjects/%ff").is_none(),
            "not UTF-8"
        );
        assert_eq!(decode("100%").as_deref(), Some("100%"));
    }
}
