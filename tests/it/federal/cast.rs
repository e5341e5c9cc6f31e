//! Systems with all that can be wrong with them, and messages of all operations that are right.

use kontingent::codec::smev3::Version;
use kontingent::trust::Signer;
use kontingent::trust::authority::{KeyKind, Request, Usage};

use super::message::{Message, new_id};
use super::world::{World, find, signer, validity};
use super::{foreign_authority, random};

/// Namespace of the kinds of messages.
pub(super) const NAMESPACE: &str = "urn:example:pupil";

/// A request to the provider.
pub(super) const PUPIL: &str = "<PupilRequest xmlns='urn:example:pupil'/>";

/// Who takes part.
pub(super) struct Cast {
    pub(super) consumer: Signer,
    pub(super) provider: Signer,
    pub(super) blocked: Signer,
    /// Both its queues are full.
    pub(super) full: Signer,
    pub(super) unknown: Signer,
    pub(super) expired: Signer,
    pub(super) early: Signer,
    pub(super) foreign: Signer,
}

impl Cast {
    pub(super) async fn gather(world: &World) -> Self {
        let of = async |mnemonic| world.system(mnemonic, KeyKind::P256).await;
        let stranger = |name, validity| signer(&world.issue(name, KeyKind::P256, validity));
        let cast = Self {
            consumer: of("IS00001").await,
            provider: of("IS00002").await,
            blocked: of("IS00003").await,
            full: of("IS00004").await,
            unknown: stranger("unknown", validity(0, 10)),
            expired: stranger("expired", validity(-20, -10)),
            early: stranger("early", validity(10, 20)),
            foreign: foreign(),
        };
        world.admin().block_system("IS00003", true).await.unwrap();
        for (code, provider, open) in [
            ("Pupil", "IS00002", true),
            ("Other", "IS00002", true),
            ("Closed", "IS00002", false),
            ("Orphan", "IS00003", true),
            ("Full", "IS00004", true),
        ] {
            world.kind(code, provider, NAMESPACE, open).await;
        }
        cast
    }

    /// Lets a system ask the provider; where the answer goes.
    pub(super) async fn reply_to(&self, world: &World, version: Version, asker: &Signer) -> String {
        let asked = id();
        let ask = Message::ask(&asked, "", PUPIL).by(version).signed(asker);
        world.send_by(version, ask).await.body();
        loop {
            // Others may wait before it.
            let request = world.hand_out(version, &Message::take(""), &self.provider).await;
            if request.id() == asked {
                return find(&request.body(), "ReplyTo").text.clone();
            }
        }
    }
}

/// Issued by an authority that nobody trusts.
pub(super) fn foreign() -> Signer {
    let validity = validity(0, 9);
    let request = Request { name: "x", key: KeyKind::P256, validity, usage: Usage::Signature };
    signer(&foreign_authority().issue(&request, &mut random()).unwrap())
}

/// A new message id.
pub(super) fn id() -> String {
    new_id().to_string()
}

/// An empty content.
pub(super) fn root(name: &str) -> String {
    format!("<{name} xmlns='{NAMESPACE}'/>")
}

/// Messages of all operations of a version that are right, and who sends them.
pub(super) fn operations<'c>(
    cast: &'c Cast,
    version: Version,
    to: &str,
) -> Vec<(Message, &'c Signer)> {
    let mut all = vec![
        (Message::ask(&id(), "", PUPIL), &cast.consumer),
        (Message::progress(&id(), to), &cast.provider),
        (Message::take(""), &cast.provider),
        (Message::pull("", ""), &cast.consumer),
        (Message::ack(&id()), &cast.consumer),
        (Message::status(), &cast.consumer),
    ];
    if version.has_queue_statistics() {
        all.push((Message::statistics(""), &cast.consumer));
    }
    all.into_iter().map(|(message, signer)| (message.by(version), signer)).collect()
}
