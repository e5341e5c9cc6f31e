//! Kinds of messages that systems of the region exchange through us, and the systems that may not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::rand::rand_bytes;
use openssl::sha::sha256;
use serde_json::json;

use crate::exchange::admin::{Admin, AdminError, check_name};
use crate::model::federal::NAMESPACE;
use crate::storage::federal_system;
use crate::storage::file_store;
use crate::storage::message_type::{self, MessageType, Root};

/// What an administrator says of a kind of messages.
#[derive(Clone, Copy, Debug)]
pub struct NewKind<'a> {
    /// Our word for it.
    pub code: &'a str,
    /// Name for people.
    pub title: &'a str,
    /// Mnemonic of the system that answers.
    pub provider: &'a str,
    /// Namespace of the root elements.
    pub namespace: &'a str,
    /// Local name of the root of a request.
    pub request: &'a str,
    /// Local name of the root of an answer.
    pub response: &'a str,
    /// Whether every registered system may ask.
    pub open_to_all: bool,
}

impl Admin {
    /// Registers a kind of messages, or one more version of its schema.
    ///
    /// # Errors
    /// [`AdminError::SystemUnknown`], [`AdminError::RootTaken`], a bad code or title.
    pub async fn register_kind(&self, new: NewKind<'_>) -> Result<(), AdminError> {
        let object = format!("message_type:{}", new.code);
        let detail = json!({ "provider": new.provider, "namespace": new.namespace,
            "request": new.request, "response": new.response, "open": new.open_to_all });
        self.perform("message_type.register", object, detail, async |tx, at| {
            check_name(new.title)?;
            if !(1..=100).contains(&new.code.len()) || new.code.contains('#') {
                return Err(AdminError::Code);
            }
            let taken = || AdminError::RootTaken(new.namespace.to_owned(), new.request.to_owned());
            if new.namespace == NAMESPACE || new.namespace.is_empty() {
                return Err(taken());
            }
            let provider = federal_system::of_mnemonic(tx, new.provider).await?;
            let provider =
                provider.ok_or_else(|| AdminError::SystemUnknown(new.provider.to_owned()))?;
            let kind = MessageType {
                code: new.code.to_owned(),
                title: new.title.trim().to_owned(),
                provider,
                open_to_all: new.open_to_all,
            };
            message_type::save(tx, &kind, at).await?;
            let root = Root {
                namespace: new.namespace.to_owned(),
                request: new.request.to_owned(),
                response: new.response.to_owned(),
                code: new.code.to_owned(),
            };
            let added = message_type::add_root(tx, &root).await?;
            added.then_some(()).ok_or_else(taken)
        })
        .await
    }

    /// Lets a system ask requests of a kind that is not open to all.
    ///
    /// # Errors
    /// [`AdminError::SystemUnknown`], [`AdminError::KindUnknown`].
    pub async fn grant_kind(&self, code: &str, mnemonic: &str) -> Result<(), AdminError> {
        let (object, detail) = (format!("message_type:{code}"), json!({ "system": mnemonic }));
        self.perform("message_type.grant", object, detail, async |tx, _| {
            let system = federal_system::of_mnemonic(tx, mnemonic).await?;
            let system = system.ok_or_else(|| AdminError::SystemUnknown(mnemonic.to_owned()))?;
            if !message_type::exists(tx, code).await? {
                return Err(AdminError::KindUnknown(code.to_owned()));
            }
            Ok(message_type::grant(tx, code, system).await?)
        })
        .await
    }

    /// Makes the word by which a system may put large files into the store; the one before ends.
    ///
    /// # Errors
    /// [`AdminError::SystemUnknown`].
    pub async fn issue_store_word(&self, mnemonic: &str) -> Result<String, AdminError> {
        let object = format!("federal_system:{mnemonic}");
        self.perform("federal_system.store-account", object, json!({}), async |tx, at| {
            let system = federal_system::of_mnemonic(tx, mnemonic).await?;
            let system = system.ok_or_else(|| AdminError::SystemUnknown(mnemonic.to_owned()))?;
            let mut random = [0; 32];
            rand_bytes(&mut random).map_err(|_| AdminError::Random)?;
            let word = URL_SAFE_NO_PAD.encode(random);
            file_store::set_account(tx, system, sha256(word.as_bytes()).to_vec(), at).await?;
            Ok(word)
        })
        .await
    }

    /// Denies a system access from now on, or lets it in again.
    ///
    /// # Errors
    /// [`AdminError::SystemUnknown`].
    pub async fn block_system(&self, mnemonic: &str, blocked: bool) -> Result<(), AdminError> {
        let action = if blocked { "federal_system.block" } else { "federal_system.unblock" };
        let object = format!("federal_system:{mnemonic}");
        self.perform(action, object, json!({}), async |tx, _| {
            let done = federal_system::set_blocked(tx, mnemonic, blocked).await?;
            done.then_some(()).ok_or_else(|| AdminError::SystemUnknown(mnemonic.to_owned()))
        })
        .await
    }
}
