//! Faults as a caller gets them: the element in the detail says what to do, the words are for people.

use crate::codec::node::Node;
use crate::codec::soap;

/// A fault of the exchange, or of what stands before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFault {
    /// Local name of the element in the detail; empty when there is none.
    pub element: String,
    /// Number or code by which the node knows it.
    pub code: Option<String>,
    /// What is wrong, in words: of the node, and all places that it found.
    pub text: String,
    /// Whether the node says that the fault is its own.
    pub server: bool,
}

impl NodeFault {
    /// Reads the `Fault` in a body; `None` when the element is none.
    pub(super) fn read(node: &Node) -> Option<Self> {
        if !node.is(soap::ENVELOPE, "Fault") {
            return None;
        }
        let child = |parent: &Node, local: &str| {
            parent.children.iter().find(|child| child.local == local).cloned()
        };
        let text = |node: Option<Node>| node.map(|node| node.text.trim().to_owned());
        let code = text(child(node, "faultcode")).unwrap_or_default();
        let detail = child(node, "detail").and_then(|detail| detail.children.into_iter().next());
        let said = text(child(node, "faultstring")).filter(|said| !said.is_empty());
        let Some(detail) = detail else {
            let text = said.unwrap_or_default();
            return Some(Self { text, server: is_server(&code), ..Self::default() });
        };
        let description = text(child(&detail, "Description")).filter(|said| !said.is_empty());
        let mut words = vec![description.or(said).unwrap_or_default()];
        for particular in ["ValidationError", "SignatureVerificationFault", "DestinationName"] {
            let found = detail.children.iter().filter(|child| child.local == particular);
            words.extend(found.map(|node| node.text.trim().to_owned()));
        }
        words.retain(|word| !word.is_empty());
        Some(Self {
            code: text(child(&detail, "Code")).filter(|code| !code.is_empty()),
            text: words.join("; "),
            server: is_server(&code),
            element: detail.local,
        })
    }
}

/// Whether a fault code, with its prefix, is that of the receiver.
fn is_server(code: &str) -> bool {
    let local = code.rsplit(':').next().unwrap_or_default();
    local == "Server" || local.starts_with("Server.")
}
