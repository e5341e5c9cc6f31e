//! Asks as a system of the federal segment does: SendRequest, GetResponse, Ack.

use anyhow::{Context, Result, ensure};
use reqwest::Client;
use uuid::{ContextV1, Timestamp, Uuid};

use crate::codec::node::Node;
use crate::codec::smev3::{BASIC, TYPES};
use crate::codec::soap::{ENVELOPE, Envelope};
use crate::codec::xml::Limits;
use crate::codec::xmldsig::Detached;
use crate::model::clock::Clock;
use crate::model::federal::NAMESPACE;
use crate::ops::demo::Stage;
use crate::ops::output::say;
use crate::ops::simulate::Region;
use crate::ops::simulate::keys::Keys;
use crate::ops::simulate::people::{Identity, Who};
use crate::trust::Signer;

/// Node part of message ids.
const NODE: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// A system of the federal segment.
pub(super) struct Federal {
    client: Client,
    door: String,
    signer: Signer,
    clock: Clock,
    sequence: ContextV1,
}

impl Federal {
    pub(super) fn new(stage: &Stage, keys: &Keys) -> Result<Self> {
        Ok(Self {
            client: Client::new(),
            door: format!("http://{}/ws/smev/1.3", stage.address),
            signer: keys.federal_signer()?,
            clock: stage.exchange.clock(),
            sequence: ContextV1::new(1),
        })
    }

    /// Asks about a pupil by insurance number and by name, and for what changed; the number of answers.
    pub(super) async fn ask(&self, region: &Region) -> Result<u64> {
        let pupil = (0..region.pupils)
            .find(|&learner| region.arts_house_of(learner).is_some())
            .context("в регионе нет подходящего учащегося")?;
        let snils = region.snils(Who::Learner(pupil)).unwrap_or_default();
        let Identity { last, first, middle, born, .. } = region.identity(Who::Learner(pupil));
        let by_name = format!(
            "<LastName>{last}</LastName><FirstName>{first}</FirstName>\
             <MiddleName>{middle}</MiddleName><BirthDate>{born}</BirthDate>"
        );
        let card =
            self.answer("GetPersonBySnilsRequest", &format!("<Snils>{snils}</Snils>")).await?;
        let organisations = count(&card, "Membership");
        let found = self.answer("FindPersonRequest", &by_name).await?;
        let page = "<PageSize>500</PageSize>";
        let changes = self.answer("GetChangedSinceRequest", page).await?;
        say(format!(
            "   По СНИЛС: {} карточка, организаций у ребёнка — {organisations} (школа и дом творчества \
             прислали его порознь).",
            count(&card, "PersonCard")
        ));
        say(format!(
            "   По ФИО и дате рождения: кандидатов — {}. Изменения: первая страница, записей — {}.",
            count(&found, "Candidate"),
            find(&changes, "Changes").map_or(0, |changes| changes.children.len())
        ));
        Ok(3)
    }

    /// Sends a question, takes the answer out of the mailbox, confirms it.
    async fn answer(&self, root: &str, inside: &str) -> Result<Node> {
        let id = self.new_id();
        let content = format!(
            "<{root} xmlns=\"{NAMESPACE}\"><Purpose>Демонстрация обмена</Purpose>{inside}</{root}>"
        );
        let data = format!(
            "<t:SenderProvidedRequestData Id=\"R\"><t:MessageID>{id}</t:MessageID>\
             <b:MessagePrimaryContent>{content}</b:MessagePrimaryContent>\
             </t:SenderProvidedRequestData>"
        );
        self.call("SendRequest", (TYPES, "SenderProvidedRequestData"), &data).await?;
        let data = format!(
            "<b:MessageTypeSelector Id=\"S\"><b:NamespaceURI>{NAMESPACE}</b:NamespaceURI>\
             <b:RootElementLocalName>{root}</b:RootElementLocalName>\
             <b:Timestamp>{}</b:Timestamp></b:MessageTypeSelector>",
            self.clock.now().to_rfc3339()
        );
        let answer = self.call("GetResponse", (BASIC, "MessageTypeSelector"), &data).await?;
        let original = find(&answer, "OriginalMessageId").map(|node| node.text.trim());
        ensure!(original == Some(id.to_string().as_str()), "почтовый ящик не отдал ответ");
        let provided =
            find(&answer, "SenderProvidedResponseData").context("в ответе нет данных")?;
        let message = find(provided, "MessageID").context("у ответа нет номера")?.text.clone();
        let data = format!(
            "<b:AckTargetMessage Id=\"A\" accepted=\"true\">{message}</b:AckTargetMessage>"
        );
        self.call("Ack", (BASIC, "AckTargetMessage"), &data).await?;
        Ok(provided.clone())
    }

    /// Signs and sends one message; the element in the body of the answer.
    async fn call(&self, what: &str, signed: (&'static str, &str), data: &str) -> Result<Node> {
        let operation = format!("{what}Request");
        let message = format!(
            "<soap:Envelope xmlns:soap=\"{ENVELOPE}\"><soap:Header/><soap:Body>\
             <t:{operation} xmlns:t=\"{TYPES}\" xmlns:b=\"{BASIC}\">{data}\
             <t:CallerInformationSystemSignature></t:CallerInformationSystemSignature>\
             </t:{operation}></soap:Body></soap:Envelope>"
        );
        let above = [(ENVELOPE, "Envelope"), (ENVELOPE, "Body"), (TYPES, operation.as_str())];
        let [envelope, body, request] = above;
        let place = Detached {
            signed: &[envelope, body, request, signed],
            holder: &[envelope, body, request, (TYPES, "CallerInformationSystemSignature")],
        };
        let message = self.signer.sign_detached(message.as_bytes(), place)?;
        let request = self.client.post(&self.door);
        let request = request.header("content-type", "text/xml; charset=utf-8").body(message);
        let answer = request.send().await.context("федеральная дверь не отвечает")?;
        let (status, xml) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{what}: {status} {xml}");
        let mut envelope = Envelope::open(xml.as_bytes(), Limits::default(), &[])?;
        let (namespace, local) = envelope.operation();
        let (namespace, local) = (namespace.to_owned(), local.to_owned());
        Ok(Node::rest(envelope.reader(), &namespace, &local)?)
    }

    fn new_id(&self) -> Uuid {
        let now = self.clock.now();
        let seconds = now.timestamp().unsigned_abs();
        let at = Timestamp::from_unix(&self.sequence, seconds, now.timestamp_subsec_nanos());
        Uuid::new_v1(at, &NODE)
    }
}

fn find<'n>(node: &'n Node, local: &str) -> Option<&'n Node> {
    if node.local == local {
        return Some(node);
    }
    node.children.iter().find_map(|child| find(child, local))
}

fn count(node: &Node, local: &str) -> usize {
    let own = usize::from(node.local == local);
    own + node.children.iter().map(|child| count(child, local)).sum::<usize>()
}
