"""A foreign client: zeep loads our WSDL, lxml and cryptography make and check the signatures.

smev_client.py URL KEY.pem CERTIFICATE.pem OUR-CERTIFICATE.pem SNILS
"""

import base64
import datetime
import hashlib
import sys
import uuid

import requests
import zeep
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from lxml import etree

url, key_file, certificate_file, our_file, snils = sys.argv[1:]
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
T = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/1.3"
B = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/basic/1.3"
F = "urn:kontingent:federal:1.0"
DS = "http://www.w3.org/2000/09/xmldsig#"
EXC = "http://www.w3.org/2001/10/xml-exc-c14n#"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
RSA = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
ECDSA = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"

key = serialization.load_pem_private_key(open(key_file, "rb").read(), None)
certificate = x509.load_pem_x509_certificate(open(certificate_file, "rb").read())
ours = x509.load_pem_x509_certificate(open(our_file, "rb").read())


def c14n(element):
    return etree.tostring(element, method="c14n", exclusive=True)


def digest(element):
    return base64.b64encode(hashlib.sha256(c14n(element)).digest()).decode()


def sign(element):
    """ds:Signature over an element that has an Id."""
    signature = etree.Element(f"{{{DS}}}Signature", nsmap={"ds": DS})
    info = etree.SubElement(signature, f"{{{DS}}}SignedInfo")
    etree.SubElement(info, f"{{{DS}}}CanonicalizationMethod", Algorithm=EXC)
    etree.SubElement(info, f"{{{DS}}}SignatureMethod", Algorithm=RSA)
    reference = etree.SubElement(info, f"{{{DS}}}Reference", URI="#" + element.get("Id"))
    transforms = etree.SubElement(reference, f"{{{DS}}}Transforms")
    etree.SubElement(transforms, f"{{{DS}}}Transform", Algorithm=EXC)
    etree.SubElement(reference, f"{{{DS}}}DigestMethod", Algorithm=SHA256)
    etree.SubElement(reference, f"{{{DS}}}DigestValue").text = digest(element)
    value = key.sign(c14n(info), padding.PKCS1v15(), hashes.SHA256())
    etree.SubElement(signature, f"{{{DS}}}SignatureValue").text = base64.b64encode(value).decode()
    data = etree.SubElement(etree.SubElement(signature, f"{{{DS}}}KeyInfo"), f"{{{DS}}}X509Data")
    der = certificate.public_bytes(serialization.Encoding.DER)
    etree.SubElement(data, f"{{{DS}}}X509Certificate").text = base64.b64encode(der).decode()
    return signature


def verify(holder, target):
    """Our ds:Signature in `holder` covers `target` and is made with our certificate's key."""
    signature = holder.find(f"{{{DS}}}Signature")
    info = signature.find(f"{{{DS}}}SignedInfo")
    reference = info.find(f"{{{DS}}}Reference")
    assert reference.get("URI") == "#" + target.get("Id")
    assert reference.findtext(f"{{{DS}}}DigestValue") == digest(target), "digest"
    der = base64.b64decode(signature.findtext(f".//{{{DS}}}X509Certificate"))
    assert der == ours.public_bytes(serialization.Encoding.DER), "certificate"
    value = base64.b64decode(signature.findtext(f"{{{DS}}}SignatureValue"))
    algorithm = info.find(f"{{{DS}}}SignatureMethod").get("Algorithm")
    if algorithm == ECDSA:
        r, s = (int.from_bytes(half, "big") for half in (value[:32], value[32:]))
        value = utils.encode_dss_signature(r, s)
        ours.public_key().verify(value, c14n(info), ec.ECDSA(hashes.SHA256()))
    else:
        assert algorithm == RSA
        ours.public_key().verify(value, c14n(info), padding.PKCS1v15(), hashes.SHA256())


client = zeep.Client(url + "?wsdl")
service = client.service
operations = service._binding._operations
assert sorted(operations) == ["Ack", "GetResponse", "SendRequest"], sorted(operations)
assert service._binding_options["address"] == url


def call(operation, **arguments):
    """Lets zeep build the message, signs the child that must be signed, sends it."""
    envelope = client.create_message(service, operation, **arguments)
    request = envelope.find(f"{{{SOAP}}}Body")[0]
    # What is signed must be what is sent: serialise and parse once before signing.
    envelope = etree.fromstring(etree.tostring(envelope))
    request = envelope.find(f"{{{SOAP}}}Body")[0]
    holder = etree.SubElement(request, f"{{{T}}}CallerInformationSystemSignature")
    holder.append(sign(request[0]))
    headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"urn:{operation}"'}
    response = requests.post(url, data=etree.tostring(envelope), headers=headers, timeout=30)
    assert response.status_code == 200, response.text
    # zeep reads the answer by our WSDL, and complains if it does not fit.
    read = service._binding.process_reply(client, operations[operation], response)
    return etree.fromstring(response.content).find(f"{{{SOAP}}}Body")[0], read


message_id = str(uuid.uuid1())
typed = client.get_element(f"{{{F}}}GetPersonBySnilsRequest")
question = zeep.xsd.AnyObject(typed, typed(Purpose="Проверка совместимости", Snils=snils))
taken, read = call(
    "SendRequest",
    SenderProvidedRequestData={
        "Id": "SIGNED_BY_CONSUMER",
        "MessageID": message_id,
        "MessagePrimaryContent": {"_value_1": question},
    },
)
verify(taken.find(f"{{{T}}}SMEVSignature"), taken.find(f"{{{T}}}MessageMetadata"))
assert read.MessageMetadata.Status == "requestIsQueued"

# zeep does not know that the pair may be left out together, and must be told to skip both.
any_type = {"NamespaceURI": zeep.xsd.SkipValue, "RootElementLocalName": zeep.xsd.SkipValue}
now = datetime.datetime.now(datetime.timezone.utc)
selector = {"Id": "SIGNED_BY_CALLER", "Timestamp": now, **any_type}
pulled, read = call("GetResponse", MessageTypeSelector=selector)
message = pulled.find(f"{{{T}}}ResponseMessage")
response = message.find(f"{{{T}}}Response")
verify(message.find(f"{{{T}}}SMEVSignature"), response)
provided = response.find(f"{{{T}}}SenderProvidedResponseData")
verify(response.find(f"{{{T}}}SenderInformationSystemSignature"), provided)
assert response.findtext(f"{{{T}}}OriginalMessageId") == message_id
assert response.findtext(f"{{{T}}}ReferenceMessageID") == message_id
assert provided.findtext(f".//{{{F}}}Snils") == snils

answer_id = response.findtext(f"{{{T}}}MessageMetadata/{{{T}}}MessageId")
call("Ack", AckTargetMessage={"Id": "SIGNED_BY_CALLER", "accepted": True, "_value_1": answer_id})
empty, _ = call("GetResponse", MessageTypeSelector=selector)
assert len(empty) == 0

fault = requests.post(
    url,
    data=etree.tostring(client.create_message(service, "Ack", AckTargetMessage={"Id": "A", "_value_1": answer_id})),
    headers={"Content-Type": "text/xml"},
    timeout=30,
)
assert fault.status_code == 500
try:
    service._binding.process_reply(client, operations["Ack"], fault)
    raise AssertionError("a fault was expected")
except zeep.exceptions.Fault as told:
    assert told.detail[0].tag.endswith("}SignatureVerificationFault"), etree.tostring(told.detail)
print("asked, pulled, confirmed")
