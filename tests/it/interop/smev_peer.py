"""A foreign information system in Python: zeep builds every message of SMEV 3 from our WSDL and reads the answers.

Reads one JSON object from standard input, calls one operation, prints one JSON object; of an array, the same for each
in turn, as an array. smev_node.mjs does the same.

In:
  url          the service; its description is at url?wsdl
  version      "1.1", "1.2" or "1.3": which service the description must be of
  operation    SendRequest, SendResponse, GetRequest, GetResponse, GetStatus, Ack, GetIncomingQueueStatistics
  key, certificate   PEM files of the caller; without them the message is not signed
  personal     {key, certificate}: PersonalSignature over the content, whose root must have an Id (Python only)
  ids          {message: MessageID of Send*, or what Ack confirms; signed: Id of the signed element}
  content      XML of the primary content
  attachments  [{id, mime, file, pkcs7: file of the detached signature, mtom: sent as a part of its own}]
  mtom         true: multipart/related even if nothing is a part of its own
  reference, transaction, eol, test   of SendRequest;  to, rejected [{code, description}] and
               status {code, description, parameters: {key: value}} of SendResponse, instead of content
  selector     {namespace, name} and node of Get*;  node of SendRequest and GetIncomingQueueStatistics;  accepted of Ack

Out:
  http, multipart   status of the answer, and whether it came as multipart/related
  answer       the whole answer as the library has read it; null if it is empty
  metadata     MessageMetadata in it
  content      XML of the primary content (canonical here)
  attachments  [{id, mime, pkcs7, content}], octets in Base64
  signatures   by the name of the holder: {valid, reason, algorithm, certificate} (Python only)
  fault        {faultcode, faultstring, name, code, description, detail}
  error        what came instead of an envelope
An answer that does not fit the description makes zeep, and so this program, fail; npm's library takes it.
"""

import base64
import datetime
import json
import pathlib
import sys
import uuid
from urllib.parse import quote

import requests
import zeep
from lxml import etree
from zeep.helpers import serialize_object
from zeep.wsdl.attachments import Attachment

import smev_sign

XOP = "http://www.w3.org/2004/08/xop/include"

# zeep strips line ends off the content of a part, which would spoil the attachment.
Attachment.content = property(lambda attachment: attachment._part.content)


def read(file):
    return pathlib.Path(file).read_bytes()


def content(ask):
    """The primary content and what belongs to it, in either kind of message."""
    root = smev_sign.parse(ask["content"])
    data = {"MessagePrimaryContent": {"_value_1": root}}
    if personal := ask.get("personal"):
        made = smev_sign.signature(root, personal["key"], personal["certificate"])
        data["PersonalSignature"] = {"_value_1": made}
    if attachments := ask.get("attachments"):
        headers = [
            {
                "contentId": attachment["id"],
                "MimeType": attachment["mime"],
                "SignaturePKCS7": read(attachment["pkcs7"]) if "pkcs7" in attachment else None,
            }
            for attachment in attachments
        ]
        data["AttachmentHeaderList"] = {"AttachmentHeader": headers}
    return data


def response_data(ask):
    """What a response has instead of content, or content."""
    if "rejected" in ask:
        reasons = [
            {"RejectionReasonCode": reason["code"], "RejectionReasonDescription": reason["description"]}
            for reason in ask["rejected"]
        ]
        return {"RequestRejected": reasons}
    if status := ask.get("status"):
        parameters = [{"Key": key, "Value": value} for key, value in status.get("parameters", {}).items()]
        told = {"StatusCode": status["code"], "StatusDescription": status["description"]}
        return {"RequestStatus": told | {"StatusParameter": parameters}}
    return content(ask)


def message(ask):
    """The arguments of the operation, as zeep takes them; what is None is left out."""
    ids, node = ask.get("ids", {}), ask.get("node")
    signed = {"Id": ids.get("signed", "SIGNED_BY_CALLER")}
    now = datetime.datetime.now(datetime.timezone.utc)
    match ask["operation"]:
        case "SendRequest":
            data = {
                "MessageID": ids["message"],
                "ReferenceMessageID": ask.get("reference"),
                "TransactionCode": ask.get("transaction"),
                "NodeID": node,
                "EOL": ask.get("eol") and datetime.datetime.fromisoformat(ask["eol"]),
                "TestMessage": {} if ask.get("test") else None,
            }
            built = {"SenderProvidedRequestData": signed | data | content(ask)}
        case "SendResponse":
            data = {"MessageID": ids["message"], "To": ask["to"]}
            built = {"SenderProvidedResponseData": signed | data | response_data(ask)}
        case "GetRequest" | "GetResponse":
            # zeep does not know that the pair may be left out together, and must be told to skip both.
            selector = ask.get("selector") or dict.fromkeys(("namespace", "name"), zeep.xsd.SkipValue)
            pair = {"NamespaceURI": selector["namespace"], "RootElementLocalName": selector["name"]}
            built = {"MessageTypeSelector": signed | pair | {"Timestamp": now, "NodeID": node}}
        case "Ack":
            target = {"accepted": ask.get("accepted"), "_value_1": ids["message"]}
            built = {"AckTargetMessage": signed | target}
        case "GetStatus":
            built = {"Timestamp": signed | {"_value_1": now}}
        case "GetIncomingQueueStatistics":
            built = {"NodeID": node, "Timestamp": signed | {"_value_1": now}}
    if ask["operation"].startswith("Send") and ask.get("attachments"):
        contents = [{"Id": attachment["id"], "Content": read(attachment["file"])} for attachment in ask["attachments"]]
        built["AttachmentContentList"] = {"AttachmentContent": contents}
    if "key" in ask:
        # Holds the place of the signature.
        empty = etree.Element(f"{{{smev_sign.DS}}}Signature")
        built["CallerInformationSystemSignature"] = {"_value_1": empty}
    return built


class Signatures:
    """What zeep calls last before it sends an envelope, and first when one has come, XOP parts put back."""

    def __init__(self, ask):
        self.ask, self.answer = ask, None

    def apply(self, envelope, headers):
        if "key" in self.ask:
            envelope = smev_sign.sign(envelope, self.ask["key"], self.ask["certificate"])
        return envelope, headers

    def verify(self, envelope):
        # Kept as it is now: zeep takes the tree apart when it reads it.
        self.answer = smev_sign.parse(etree.tostring(envelope))


class Transport(zeep.Transport):
    """Sends the attachments that ask for it as parts of their own."""

    def __init__(self, ask):
        super().__init__(operation_timeout=60)
        self.apart = {attachment["id"] for attachment in ask.get("attachments", []) if attachment.get("mtom")}
        self.mtom = bool(self.apart) or ask.get("mtom", False)
        self.response = None

    def post(self, address, message, headers):
        self.response = super().post(address, message, headers)
        return self.response

    def post_xml(self, address, envelope, headers):
        if not self.mtom:
            return super().post_xml(address, envelope, headers)
        boundary = f"uuid:{uuid.uuid4()}"
        root = 'application/xop+xml; charset=UTF-8; type="text/xml"'
        apart = self.cut(envelope)
        body = b""
        for name, kind, octets in [("root@client", root, etree.tostring(envelope, encoding="UTF-8")), *apart]:
            head = f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\n"
            body += f"{head}Content-ID: <{name}>\r\n\r\n".encode() + octets + b"\r\n"
        kind = (
            f'multipart/related; type="application/xop+xml"; boundary="{boundary}"; '
            'start="<root@client>"; start-info="text/xml"'
        )
        return self.post(address, body + f"--{boundary}--\r\n".encode(), {**headers, "Content-Type": kind})

    def cut(self, envelope):
        """Takes out what goes apart. A stack that does MTOM does this to SignaturePKCS7 too, after it was signed."""
        parts = []
        for owner, identifier, octets in (
            ("AttachmentContent", "Id", "Content"),
            ("AttachmentHeader", "contentId", "SignaturePKCS7"),
        ):
            for element in smev_sign.named(envelope, [owner]):
                holder = element.find(f"{{*}}{octets}")
                if element.findtext(f"{{*}}{identifier}") in self.apart and holder is not None:
                    name = f"{len(parts)}@urn://client"
                    parts.append((name, "application/octet-stream", base64.b64decode(holder.text or "")))
                    holder.text = None
                    include = etree.SubElement(holder, f"{{{XOP}}}Include", nsmap={"xop": XOP})
                    include.set("href", "cid:" + quote(name, safe="@"))
        return parts


def find(value, name):
    """The first value of this name at any depth."""
    if isinstance(value, dict) and value.get(name) is not None:
        return value[name]
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for item in below if (found := find(item, name)) is not None), None)


def plain(value):
    """What JSON has no form for."""
    if isinstance(value, etree._Element):
        return smev_sign.c14n(value).decode()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def attachments(answer):
    contents = find(answer, "AttachmentContent") or []
    headers = {header["contentId"]: header for header in find(answer, "AttachmentHeader") or []}
    return [
        {
            "id": item["Id"],
            "mime": headers.get(item["Id"], {}).get("MimeType"),
            "pkcs7": headers.get(item["Id"], {}).get("SignaturePKCS7"),
            "content": item["Content"],
        }
        for item in contents
    ]


def fault(client, raised):
    told = {"faultcode": raised.code, "faultstring": raised.message}
    if raised.detail is None:
        return told | dict.fromkeys(("name", "code", "description", "detail"))
    element = raised.detail[0]
    detail = serialize_object(client.wsdl.types.deserialize(element), dict)
    return told | {
        "name": etree.QName(element).localname,
        "code": find(detail, "Code"),
        "description": find(detail, "Description"),
        "detail": detail,
    }


def call(ask):
    transport, signatures = Transport(ask), Signatures(ask)
    client = zeep.Client(ask["url"] + "?wsdl", transport=transport, wsse=signatures)
    namespace = etree.QName(client.service._binding.name).namespace
    assert namespace == f"urn://x-artefacts-smev-gov-ru/services/message-exchange/{ask['version']}", namespace

    told = dict.fromkeys(("http", "multipart", "answer", "metadata", "content", "signatures", "fault", "error"))
    told["attachments"] = []
    try:
        answer = client.service[ask["operation"]](**message(ask))
        told["answer"] = answer = serialize_object(answer, dict)
        told["metadata"] = find(answer, "MessageMetadata")
        told["attachments"] = attachments(answer)
    except zeep.exceptions.Fault as raised:
        if raised.code is None:
            # Well-formed, but no envelope.
            told["error"] = raised.detail.decode()
        else:
            told["fault"] = fault(client, raised)
    except (zeep.exceptions.TransportError, requests.RequestException) as error:
        told["error"] = str(error)
    if transport.response is not None:
        told["http"] = transport.response.status_code
        told["multipart"] = transport.response.headers.get("Content-Type", "").startswith("multipart/related")
    if signatures.answer is not None:
        told["signatures"] = smev_sign.verify_all(signatures.answer)
        holders = smev_sign.named(signatures.answer, ["MessagePrimaryContent"])
        told["content"] = next((holder[0] for holder in holders), None)
    return told


def main():
    asks = json.load(sys.stdin)
    told = [call(ask) for ask in asks] if isinstance(asks, list) else call(asks)
    print(json.dumps(told, default=plain, ensure_ascii=False))


main()
