//! The service description, from embedded files only.

use axum::http::uri::Authority;

/// The address that the files name, and that a reader gets replaced by ours.
const ADDRESS: &str = "http://localhost/ws/intake";

const WSDL: &str = include_str!("../../wsdl/intake.wsdl");
const XSD: &str = include_str!("../../wsdl/intake.xsd");

/// The document a query string asks for: `wsdl`, or `xsd=1`. `None` for anything else.
/// `base` is scheme and authority of our address as the reader sees it.
pub(super) fn document(query: &str, base: &str) -> Option<String> {
    let wsdl = query.eq_ignore_ascii_case("wsdl");
    match query {
        _ if wsdl => Some(WSDL.replace(ADDRESS, &format!("{base}/ws/intake"))),
        "xsd=1" => Some(XSD.to_owned()),
        _ => None,
    }
}

/// Scheme and authority of our address: as configured, else where the request was sent to.
/// `None` if that is not the name or number of a host.
pub(super) fn base(public_url: Option<&str>, host: Option<&str>, secure: bool) -> Option<String> {
    if let Some(url) = public_url {
        return Some(url.trim_end_matches('/').to_owned());
    }
    let authority: Authority = host?.parse().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    let scheme = if secure { "https" } else { "http" };
    authority.as_str().bytes().all(plain).then(|| format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_ours_and_nothing_else_is_served() {
        let wsdl = document("wsdl", "https://k.example:8443").unwrap();
        assert!(wsdl.contains("location=\"https://k.example:8443/ws/intake\""));
        assert!(wsdl.contains("schemaLocation=\"https://k.example:8443/ws/intake?xsd=1\""));
        assert!(!wsdl.contains("localhost"));
        assert!(document("WSDL", "http://k").is_some() && document("xsd=1", "http://k").is_some());
        for other in ["", "xsd=2", "xsd=../../etc/passwd", "wsdl&x", "xsd"] {
            assert_eq!(document(other, "http://k"), None, "{other}");
        }
    }

    #[test]
    fn a_host_cannot_write_into_the_description() {
        assert_eq!(base(None, Some("h:80"), false).unwrap(), "http://h:80");
        assert_eq!(base(None, Some("[::1]:80"), true).unwrap(), "https://[::1]:80");
        assert_eq!(base(Some("https://k/"), Some("h"), false).unwrap(), "https://k");
        for bad in ["h\"/><x", "u@h", "h/x", "h h", ""] {
            assert_eq!(base(None, Some(bad), false), None, "{bad}");
        }
        assert_eq!(base(None, None, false), None);
    }
}
