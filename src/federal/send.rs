//! SendRequest and SendResponse: judged, taken, confirmed with our signature.

use chrono::{DateTime, Utc};

use crate::codec::excerpt::excerpt;
use crate::codec::node::{Flaw, Node};
use crate::codec::shape::{Plan, Role};
use crate::codec::smev3::{
    Content, Fault, Metadata, Participant, Send, SendRequest, SendResponse, Version, send_answer,
};
use crate::codec::soap;
use crate::codec::xmldsig::{DSIG, Name};
use crate::exchange::desk::{Caller, Sent, TakeError};
use crate::exchange::question::QuestionError;
use crate::federal::fault::{Failure, invalid, of_file};
use crate::federal::{Door, Message, Reply, fresh, limits};
use crate::model::federal::NAMESPACE;
use crate::model::refusal::RefusalCode;

/// Most bytes of files in a message.
const ATTACHMENT_BYTES: i64 = 5 << 20;

impl Door {
    pub(super) async fn send_request(
        &self,
        message: &Message<'_>,
        request: Send<SendRequest>,
    ) -> Result<Reply, Failure> {
        coordinate(&request)?;
        let (caller, plan) = self.caller(message).await?;
        let now = self.desk.now();
        let message_id = fresh::message_id(&request.message_id, now, &self.settings)?;
        if request.data.end_of_life.is_some_and(|end| end <= now) {
            return Err(Fault::EndOfLifeReached.into());
        }
        // It is copied into every answer: one line of text, whatever a state service calls itself.
        let code = request.data.transaction_code.as_deref().unwrap_or_default();
        if code.chars().any(char::is_control) {
            return Err(Fault::TransactionCodeInvalid.into());
        }
        let root = request.data.content.clone();
        let sent = sent(message, plan, message_id, request)?;
        let taken = self.desk.send_request(&caller, sent).await;
        let taken = taken.map_err(|error| refused(error, message_id, &root, "sendRequest"));
        let (sent_at, provider) = taken?;
        let recipient = match provider {
            Some(provider) => self.desk.participant(provider).await?,
            None => self.desk.seal().own().clone(),
        };
        self.confirm(message.version, "SendRequest", message_id, &caller, &recipient, sent_at)
    }

    pub(super) async fn send_response(
        &self,
        message: &Message<'_>,
        request: Send<SendResponse>,
    ) -> Result<Reply, Failure> {
        coordinate(&request)?;
        let (caller, plan) = self.caller(message).await.map_err(|failure| match failure {
            // The operation has no fault of its own for officials.
            Failure::Fault(Fault::PersonalAccessDenied) => Fault::AccessDenied.into(),
            failure => failure,
        })?;
        let message_id = fresh::message_id(&request.message_id, self.desk.now(), &self.settings)?;
        let to = request.data.to.clone();
        let root = match &request.data.content {
            Content::Primary(root) => root.clone(),
            _ => Node::document(b"<none/>", limits()).map_err(soap::SoapError::from)?,
        };
        let sent = sent(message, plan, message_id, request)?;
        let taken = self.desk.send_response(&caller, sent).await;
        let (sent_at, recipient) = taken.map_err(|error| match error {
            TakeError::Address => Fault::RequesterIsNotFound(to).into(),
            error => refused(error, message_id, &root, "sendResponse"),
        })?;
        let recipient = self.desk.participant(recipient).await?;
        self.confirm(message.version, "SendResponse", message_id, &caller, &recipient, sent_at)
    }

    /// The answer: what was taken, when, for whom, signed by us.
    fn confirm(
        &self,
        version: Version,
        operation: &str,
        message_id: uuid::Uuid,
        caller: &Caller,
        recipient: &Participant,
        sent_at: DateTime<Utc>,
    ) -> Result<Reply, Failure> {
        let system = &caller.system;
        let sender = Participant { mnemonic: system.mnemonic.clone(), name: system.name.clone() };
        let message_type = if operation == "SendRequest" { "REQUEST" } else { "RESPONSE" };
        let metadata = Metadata {
            message_id,
            message_type,
            sender: &sender,
            sent_at,
            recipient,
            delivered_at: None,
            status: "requestIsQueued",
        };
        let body = send_answer(version, operation, &metadata);
        let seal = self.desk.seal();
        Ok(seal.send_answer(version, operation, &soap::envelope(&body))?.into())
    }
}

/// Whether each file has one header, and there are not too many bytes.
fn coordinate<D>(message: &Send<D>) -> Result<(), Fault> {
    let (headers, files) = (&message.headers, &message.attachments);
    let (attachments, count) = (files.len(), headers.len());
    if attachments != count {
        return Err(Fault::AttachmentContentMiscoordination { attachments, headers: count });
    }
    for file in files {
        if headers.iter().filter(|id| **id == file.id).count() != 1 {
            let text = format!("Вложение [Id=\"{}\"] не имеет заголовка.", file.id);
            return Err(Fault::AttachmentUnknown(text));
        }
    }
    let real = files.iter().map(|file| file.bytes.len()).sum::<usize>();
    let real = i64::try_from(real).unwrap_or(i64::MAX);
    if real > ATTACHMENT_BYTES {
        let permitted = ATTACHMENT_BYTES;
        return Err(Fault::AttachmentSizeLimitExceeded { permitted, real });
    }
    Ok(())
}

/// The message with what its sender signed cut out of it.
fn sent<M>(
    message: &Message<'_>,
    plan: &Plan,
    message_id: uuid::Uuid,
    content: M,
) -> Result<Sent<M>, Failure> {
    let mut spots = plan.spots.iter();
    let spot = spots.find(|spot| spot.role == Role::System);
    let missing =
        || soap::SoapError::from(crate::model::refusal::Refusal::from(RefusalCode::SigMissing));
    let spot = spot.ok_or_else(missing)?;
    let cut = |path: &[Name<'_>]| {
        let found = excerpt(message.bytes, path, limits()).map_err(soap::SoapError::from)?;
        found.ok_or_else(missing)
    };
    let mut holder = spot.holder_names();
    holder.push((DSIG, "Signature"));
    Ok(Sent {
        version: message.version,
        message_id,
        message: content,
        data: cut(&spot.signed_names())?,
        signature: cut(&holder)?,
        envelope: message.bytes.to_vec(),
        peer: message.peer.address.ip().to_string(),
    })
}

/// The fault for a message that was not taken.
fn refused(error: TakeError, id: uuid::Uuid, root: &Node, method: &str) -> Failure {
    let (namespace, element) = (root.namespace.clone(), root.local.clone());
    match error {
        TakeError::AlreadySent => Fault::MessageIsAlreadySent(id).into(),
        TakeError::QueueFull(destination) => Fault::DestinationOverflow { destination }.into(),
        TakeError::UnknownKind => {
            Fault::BusinessDataTypeIsNotSupported { namespace, element, text: None }.into()
        }
        TakeError::NoProvider => Fault::RecipientIsNotFound { namespace, element }.into(),
        TakeError::NotARequest => {
            let text = format!(
                "Попытка послать сообщение {{{namespace}}}{element} через метод {method}, в то время \
                 как этот тип сообщений зарегистрирован как ответ"
            );
            Fault::BusinessDataTypeIsNotSupported { namespace, element, text: Some(text) }.into()
        }
        TakeError::Files => {
            let text = format!("Некорректная информация о фтп вложениях; message id = {id}");
            Fault::AttachmentUnknown(text).into()
        }
        TakeError::FileSignature(folder, refusal) => of_file(&folder, refusal),
        TakeError::FileBytes { permitted, real } => {
            Fault::StoredSizeLimitExceeded { permitted, real }.into()
        }
        TakeError::Quota { remained, real } => Fault::QuoteLimitExceeded { remained, real }.into(),
        TakeError::AnotherKind => Fault::IncorrectResponseContentType.into(),
        TakeError::Denied => Fault::AccessDenied.into(),
        TakeError::Content(flaws) => invalid(&flaws).into(),
        TakeError::Question(QuestionError::Cursor) => invalid(&[bad_cursor(root)]).into(),
        error => error.into(),
    }
}

fn bad_cursor(content: &Node) -> Flaw {
    let node = content.children.iter().find(|node| node.is(NAMESPACE, "Cursor"));
    Flaw {
        place: node.unwrap_or(content).place,
        text: "Cursor не выдан этой системе для этого вопроса; начните чтение без Cursor"
            .to_owned(),
    }
}
