//! Asks as a system of the federal segment does: SendRequest, GetResponse, Ack.

use anyhow::{Context, Result};

use crate::codec::node::Node;
use crate::ops::demo::Stage;
use crate::ops::federal_client::{FederalClient, find};
use crate::ops::output::say;
use crate::ops::simulate::Region;
use crate::ops::simulate::keys::Keys;
use crate::ops::simulate::people::{Identity, Who};

/// Why the demonstration asks about persons.
const PURPOSE: &str = "Демонстрация обмена";

/// A system of the federal segment.
pub(super) struct Federal(FederalClient);

impl Federal {
    /// Knocks at the door of this stage.
    pub(super) fn new(stage: &Stage, keys: &Keys) -> Result<Self> {
        let clock = stage.exchange.clock();
        Ok(Self(FederalClient::new(stage.address, keys.federal_signer()?, clock)))
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
        let by_snils = format!("<Snils>{snils}</Snils>");
        let card = self.0.answer("GetPersonBySnilsRequest", &by_snils, PURPOSE).await?;
        let organisations = count(&card, "Membership");
        let found = self.0.answer("FindPersonRequest", &by_name, PURPOSE).await?;
        let page = "<PageSize>500</PageSize>";
        let changes = self.0.answer("GetChangedSinceRequest", page, PURPOSE).await?;
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
}

fn count(node: &Node, local: &str) -> usize {
    let own = usize::from(node.local == local);
    own + node.children.iter().map(|child| count(child, local)).sum::<usize>()
}
