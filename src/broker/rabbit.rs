//! The doorbell through RabbitMQ.
//!
//! Publishing and consuming use connections of their own: a broker that blocks publishers must
//! not stop acknowledgements. Any error drops the connection; the next use makes a new one and
//! declares the topology again, so a broker that was away, or lost everything, needs no restart.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{SelectAll, select_all};

use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{Acker, BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::broker::topology::{self, Names};
use crate::broker::{Message, PARTITIONS, Receipt, Ring};
use crate::telemetry::RINGS_TOTAL;

/// Connecting, confirming one lot of messages, and acknowledging one may each take this long. Whatever is
/// asked of the broker has its time: a connection that is cut while it is made may stay silent for ever.
const PATIENCE: Duration = Duration::from_secs(5);

/// Messages of one queue that a worker has in hand.
const PREFETCH: u16 = 2;

/// Seconds between heartbeats.
const HEARTBEAT: u16 = 10;

/// First and longest pause before connecting again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// AMQP's word for messages that survive a restart of the broker.
const PERSISTENT: u8 = 2;

/// A broker that cannot be used now.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The URL is none of AMQP.
    #[error("the broker URL is wrong: {0}")]
    Url(String),
    /// It refused, or the connection broke.
    #[error("the broker failed")]
    Amqp(#[from] lapin::Error),
    /// It did not answer in time.
    #[error("the broker does not answer")]
    Silent(#[from] tokio::time::error::Elapsed),
}

/// A RabbitMQ broker. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rabbit {
    uri: AMQPUri,
    names: Names,
    publisher: Arc<Mutex<Option<Publisher>>>,
}

#[derive(Debug)]
struct Publisher {
    channel: Channel,
    _connection: Connection,
}

impl Rabbit {
    /// Names a broker by its URL; all exchanges and queues begin with `prefix`. Does not connect.
    ///
    /// # Errors
    /// [`BrokerError::Url`].
    pub fn new(url: &str, prefix: &str) -> Result<Self, BrokerError> {
        let mut uri: AMQPUri = url.parse().map_err(BrokerError::Url)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        Ok(Self { uri, names: Names::new(prefix), publisher: Arc::default() })
    }

    /// The names of exchanges and queues.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Connects and declares the topology.
    ///
    /// # Errors
    /// Any [`BrokerError`].
    pub async fn connect(&self) -> Result<Connection, BrokerError> {
        let options = ConnectionProperties::default().with_connection_name("kontingent".into());
        let connecting = Connection::connect_uri(self.uri.clone(), options);
        let connection = timeout(PATIENCE, connecting).await??;
        let declared = async {
            let channel = connection.create_channel().await?;
            topology::declare(&channel, &self.names).await?;
            channel.close(200, "declared".into()).await
        };
        timeout(PATIENCE * 4, declared).await??;
        Ok(connection)
    }

    /// Publishes persistent, mandatory messages and waits for all confirms. Returned, refused
    /// and unconfirmed ones count as not sent.
    pub async fn ring(&self, messages: &[Message]) -> Vec<bool> {
        let mut publisher = self.publisher.lock().await;
        let sent = match self.open(&mut publisher).await {
            Ok(channel) => timeout(PATIENCE, publish_all(channel, &self.names, messages)).await,
            Err(error) => Ok(Err(error)),
        };
        let confirmed = match sent {
            Ok(Ok(confirmed)) => confirmed,
            Ok(Err(error)) => {
                tracing::warn!(error = %chain(&error), "the doorbell could not be rung");
                vec![false; messages.len()]
            }
            Err(_) => {
                tracing::warn!("the broker did not confirm in time");
                vec![false; messages.len()]
            }
        };
        if confirmed.contains(&false) {
            // A returned message says that the topology is gone: connecting declares it again.
            *publisher = None;
        }
        let taken = confirmed.iter().filter(|confirmed| **confirmed).count() as u64;
        metrics::counter!(RINGS_TOTAL, "outcome" => "confirmed").increment(taken);
        metrics::counter!(RINGS_TOTAL, "outcome" => "failed")
            .increment(confirmed.len() as u64 - taken);
        confirmed
    }

    /// Messages ready in the queue of a partition; absent when the broker does not tell.
    pub async fn depth(&self, partition: u16) -> Option<u64> {
        let mut publisher = self.publisher.lock().await;
        let channel = self.open(&mut publisher).await.ok()?;
        let passive = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
        let asked =
            channel.queue_declare(self.names.queue(partition), passive, FieldTable::default());
        if let Ok(Ok(queue)) = timeout(PATIENCE, asked).await {
            return Some(u64::from(queue.message_count()));
        }
        *publisher = None;
        None
    }

    /// Consumes all partitions until `stop`, connecting again when needed.
    pub fn listen(&self, stop: CancellationToken) -> mpsc::Receiver<Ring> {
        let (sender, receiver) = mpsc::channel(1);
        let rabbit = self.clone();
        tokio::spawn(async move {
            let mut pause = PAUSES.0;
            while !stop.is_cancelled() && !sender.is_closed() {
                match rabbit.consume(&sender, &stop, &mut pause).await {
                    Ok(()) => return,
                    Err(error) => {
                        tracing::warn!(error = %chain(&error), "the doorbell is out of order");
                    }
                }
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(PAUSES.1);
            }
        });
        receiver
    }

    async fn consume(
        &self,
        sender: &mpsc::Sender<Ring>,
        stop: &CancellationToken,
        pause: &mut Duration,
    ) -> Result<(), BrokerError> {
        let connection = Arc::new(self.connect().await?);
        let (channel, mut consumers) =
            timeout(PATIENCE * 4, subscribe(&connection, &self.names)).await??;
        tracing::info!("listening to the broker");
        *pause = PAUSES.0;
        loop {
            let delivery = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                delivery = consumers.next() => delivery,
            };
            let Some((partition, delivery)) = delivery else {
                return Err(
                    lapin::Error::from(lapin::ErrorKind::InvalidChannel(channel.id())).into()
                );
            };
            let delivery = delivery?;
            let Some(tasks) = Message::read(&delivery.data) else {
                self.bury(&channel, delivery).await?;
                continue;
            };
            let receipt = Unacknowledged { acker: delivery.acker, _alive: Arc::clone(&connection) };
            let ring = Ring { partition, tasks, receipt: Receipt::Rabbit(receipt) };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                sent = sender.send(ring) => if sent.is_err() { return Ok(()) },
            }
        }
    }

    /// Moves a message that is none of ours to the dead queue, bytes as they are.
    async fn bury(&self, channel: &Channel, delivery: Delivery) -> Result<(), BrokerError> {
        tracing::error!(bytes = delivery.data.len(), "a message nobody understands was put aside");
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let options = BasicPublishOptions::default();
        let exchange = self.names.dead_exchange();
        let key = ShortString::from("");
        let moved = async {
            let sent =
                channel.basic_publish(exchange, key, options, &delivery.data, properties).await?;
            if sent.await?.is_nack() {
                return Err(lapin::Error::from(lapin::ErrorKind::InvalidChannel(channel.id())));
            }
            delivery.acker.ack(BasicAckOptions::default()).await?;
            Ok(())
        };
        Ok(timeout(PATIENCE, moved).await??)
    }

    async fn open<'a>(
        &self,
        publisher: &'a mut Option<Publisher>,
    ) -> Result<&'a Channel, BrokerError> {
        if publisher.as_ref().is_some_and(|open| !open.channel.status().connected()) {
            *publisher = None;
        }
        let open = if let Some(open) = publisher.take() {
            open
        } else {
            let connection = self.connect().await?;
            let opened = async {
                let channel = connection.create_channel().await?;
                channel.confirm_select(ConfirmSelectOptions::default()).await?;
                Ok::<Channel, lapin::Error>(channel)
            };
            let channel = timeout(PATIENCE, opened).await??;
            Publisher { channel, _connection: connection }
        };
        Ok(&publisher.insert(open).channel)
    }
}

async fn publish_all(
    channel: &Channel,
    names: &Names,
    messages: &[Message],
) -> Result<Vec<bool>, BrokerError> {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/json".into());
    let exchange = names.exchange();
    let mut confirms = Vec::with_capacity(messages.len());
    for message in messages {
        let key = names.queue(message.partition);
        let bytes = message.to_bytes();
        let confirm = channel
            .basic_publish(exchange.clone(), key, options, &bytes, properties.clone())
            .await?;
        confirms.push(confirm);
    }
    let mut confirmed = Vec::with_capacity(confirms.len());
    for confirm in confirms {
        let confirmation = confirm.await?;
        confirmed.push(confirmation.is_ack() && confirmation.take_message().is_none());
    }
    Ok(confirmed)
}

type Deliveries =
    SelectAll<futures_util::stream::BoxStream<'static, (u16, Result<Delivery, lapin::Error>)>>;

async fn subscribe(
    connection: &Connection,
    names: &Names,
) -> Result<(Channel, Deliveries), lapin::Error> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let mut consumers = Vec::new();
    for partition in 0..PARTITIONS {
        let options = BasicConsumeOptions::default();
        let consumer: Consumer = channel
            .basic_consume(names.queue(partition), "".into(), options, FieldTable::default())
            .await?;
        // A consumer that ends, because its queue was deleted, ends them all: declare again.
        let ended = futures_util::stream::once(async {
            Err(lapin::Error::from(lapin::ErrorKind::InvalidChannel(0)))
        });
        consumers.push(consumer.chain(ended).map(move |delivery| (partition, delivery)).boxed());
    }
    Ok((channel, select_all(consumers)))
}

/// A delivered message that the broker still keeps.
#[derive(Debug)]
pub(crate) struct Unacknowledged {
    acker: Acker,
    /// Keeps the connection open until the last ring was acknowledged, also while stopping.
    _alive: Arc<Connection>,
}

impl Unacknowledged {
    pub(crate) async fn acknowledge(self) {
        // Whoever waits here for ever works off nothing more of this partition.
        match timeout(PATIENCE, self.acker.ack(BasicAckOptions::default())).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "an acknowledgement was lost; the message comes again");
            }
            Err(_) => tracing::warn!("an acknowledgement is not taken; the message comes again"),
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
