// A foreign information system in JavaScript: npm's `soap` builds every message of SMEV 3 from our WSDL and reads the
// answers. What goes in and comes out is described in smev_peer.py; smev_sign.py makes the signature.
//
// NODE_PATH=$(deploy/dev/node) PYTHON=$(deploy/dev/python)/bin/python node smev_node.mjs <ASK >TOLD

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

// import does not look into NODE_PATH.
const require = createRequire(import.meta.url);
const soap = require("soap");
const { DOMParser, XMLSerializer } = require("@xmldom/xmldom");

const SIGNER = fileURLToPath(new URL("smev_sign.py", import.meta.url));
const XOP = "http://www.w3.org/2004/08/xop/include";

/** The primary content and what belongs to it, in either kind of message. */
function content(ask) {
  const header = ({ id, mime, pkcs7 }) => ({
    contentId: id,
    MimeType: mime,
    SignaturePKCS7: pkcs7 && readFileSync(pkcs7, "base64"),
  });
  return {
    MessagePrimaryContent: { $xml: ask.content },
    AttachmentHeaderList: ask.attachments?.length ? { AttachmentHeader: ask.attachments.map(header) } : undefined,
  };
}

/** What a response has instead of content, or content. */
function responseData(ask) {
  if (ask.rejected) {
    const reason = ({ code, description }) => ({ RejectionReasonCode: code, RejectionReasonDescription: description });
    return { RequestRejected: ask.rejected.map(reason) };
  }
  if (ask.status) {
    const { code, description, parameters = {} } = ask.status;
    const StatusParameter = Object.entries(parameters).map(([Key, Value]) => ({ Key, Value }));
    return { RequestStatus: { StatusCode: code, StatusParameter, StatusDescription: description } };
  }
  return content(ask);
}

/** The contents of attachments: in the message, or a part of its own. SignaturePKCS7 always stays in the message. */
function contents(ask) {
  const item = ({ id, file, mtom }) => ({
    Id: id,
    Content: mtom ? { $xml: `<xop:Include xmlns:xop="${XOP}" href="cid:${id}"/>` } : readFileSync(file, "base64"),
  });
  const sent = ask.operation.startsWith("Send") && ask.attachments?.length;
  return sent ? { AttachmentContentList: { AttachmentContent: ask.attachments.map(item) } } : {};
}

/** The arguments of the operation, as the library takes them, in the order of the schema; undefined is left out. */
function message(ask) {
  const { ids = {}, node, selector } = ask;
  const attributes = { Id: ids.signed ?? "SIGNED_BY_CALLER" };
  const now = new Date().toISOString();
  switch (ask.operation) {
    case "SendRequest": {
      const fields = { MessageID: ids.message, ReferenceMessageID: ask.reference, TransactionCode: ask.transaction };
      const rest = { NodeID: node, EOL: ask.eol, ...content(ask), TestMessage: ask.test ? {} : undefined };
      return { SenderProvidedRequestData: { attributes, ...fields, ...rest }, ...contents(ask) };
    }
    case "SendResponse": {
      const fields = { MessageID: ids.message, To: ask.to, ...responseData(ask) };
      return { SenderProvidedResponseData: { attributes, ...fields }, ...contents(ask) };
    }
    case "GetRequest":
    case "GetResponse": {
      const pair = { NamespaceURI: selector?.namespace, RootElementLocalName: selector?.name };
      return { MessageTypeSelector: { attributes, ...pair, Timestamp: now, NodeID: node } };
    }
    case "Ack":
      return { AckTargetMessage: { attributes: { ...attributes, accepted: ask.accepted }, $value: ids.message } };
    case "GetStatus":
      return { Timestamp: { attributes, $value: now } };
    case "GetIncomingQueueStatistics":
      return { NodeID: node, Timestamp: { attributes, $value: now } };
  }
}

/** What the library calls last before it sends an envelope. */
function sign(ask, envelope) {
  const options = { input: envelope, maxBuffer: 1 << 28, encoding: "utf8" };
  return execFileSync(process.env.PYTHON ?? "python3", [SIGNER, "sign", ask.key, ask.certificate], options);
}

/** The first value of this name at any depth. */
function find(value, name) {
  if (value === null || typeof value !== "object") return undefined;
  if (value[name] !== undefined && value[name] !== null) return value[name];
  for (const below of Object.values(value)) {
    const found = find(below, name);
    if (found !== undefined) return found;
  }
  return undefined;
}

const many = (value) => (value === undefined || value === null ? [] : [value].flat());

/** Base64 of what an element holds, be it a part of its own. */
function octets(value, parts) {
  const href = value?.Include?.attributes?.href;
  if (!href) return value ?? null;
  const name = `<${decodeURIComponent(href.replace(/^cid:/, ""))}>`;
  return parts.find((part) => part.headers["content-id"] === name).body.toString("base64");
}

function attachments(answer, parts) {
  const headers = many(find(answer, "AttachmentHeader"));
  return many(find(answer, "AttachmentContent")).map((item) => {
    const header = headers.find(({ contentId }) => contentId === item.Id);
    const pkcs7 = octets(header?.SignaturePKCS7, parts);
    return { id: item.Id, mime: header?.MimeType ?? null, pkcs7, content: octets(item.Content, parts) };
  });
}

/** XML of the primary content: the library itself reads it into objects only. */
function primary(envelope) {
  const holder = new DOMParser().parseFromString(envelope).getElementsByTagNameNS("*", "MessagePrimaryContent")[0];
  const root = holder && Array.from(holder.childNodes).find(({ nodeType }) => nodeType === 1);
  return root ? new XMLSerializer().serializeToString(root) : null;
}

function fault({ faultcode, faultstring, detail }) {
  const name = Object.keys(detail ?? {}).find((key) => key !== "attributes") ?? null;
  const inside = name && detail[name];
  return {
    faultcode,
    faultstring: faultstring?.$value ?? faultstring,
    name,
    code: find(inside, "Code") ?? null,
    description: find(inside, "Description") ?? null,
    detail: inside,
  };
}

async function call(ask) {
  const client = await soap.createClientAsync(`${ask.url}?wsdl`, { parseReponseAttachments: true });
  const namespace = client.wsdl.definitions.$targetNamespace;
  if (namespace !== `urn://x-artefacts-smev-gov-ru/services/message-exchange/${ask.version}`) throw Error(namespace);

  const apart = (ask.attachments ?? []).filter(({ mtom }) => mtom);
  const options = {
    timeout: 60_000,
    forceMTOM: ask.mtom || apart.length > 0,
    attachments: apart.map(({ id, mime, file }) => ({
      contentId: id,
      mimetype: mime,
      name: id,
      body: readFileSync(file),
    })),
    postProcess: ask.key && ((envelope) => sign(ask, envelope)),
  };
  const told = { http: null, multipart: null, answer: null, metadata: null, content: null, attachments: [] };
  Object.assign(told, { fault: null, error: null });
  client.on("response", (body, response) => {
    told.http = response?.status ?? null;
    told.multipart = response?.headers["content-type"]?.startsWith("multipart/related") ?? null;
  });
  try {
    const [answer] = await client[`${ask.operation}Async`](message(ask), options);
    told.answer = answer;
    told.metadata = find(answer, "MessageMetadata") ?? null;
    told.content = primary(client.lastResponse);
    told.attachments = attachments(answer, client.lastResponseAttachments?.parts ?? []);
  } catch (error) {
    const inside = error.root?.Envelope?.Body?.Fault;
    if (inside) told.fault = fault(inside);
    else if (told.http >= 400) told.error = client.lastResponse;
    else throw error;
  }
  return told;
}

const asks = JSON.parse(readFileSync(0, "utf8"));
const told = [];
for (const ask of [asks].flat()) told.push(await call(ask));
console.log(JSON.stringify(Array.isArray(asks) ? told : told[0]));
