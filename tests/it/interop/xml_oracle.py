"""An independent hand at canonicalisation and signatures: lxml, signxml and cryptography.

make FOLDER SEED COUNT KEYS  writes COUNT random documents nnnn.xml with nnnn.c14n and nnnn.prefixes, some that are
                             not well-formed, refused-*.xml, ten with ASCII names, plain-n.xml, and documents signed by signxml, signed-*.xml, with
                             the keys of the folder KEYS
verify FOLDER CA             verifies every ours-*.xml with signxml, trusting the certificate CA
"""

import pathlib
import random
import sys

from lxml import etree
from signxml import SignatureConfiguration, XMLSigner, XMLVerifier, methods
from signxml.algorithms import CanonicalizationMethod, SignatureMethod

URIS = ["urn:one", "urn:two", "urn:three", "http://example.org/4?d=4"]
PREFIXES = ["", "a", "b", "z", "ы"]
LOCALS = ["x", "y", "Имя", "long-name.1", "_u"]


class Maker:
    def __init__(self, rng, ascii_names):
        self.rng = rng
        self.prefixes = [name for name in PREFIXES if name.isascii() or not ascii_names]
        self.locals = [name for name in LOCALS if name.isascii() or not ascii_names]

    def blanks(self):
        return self.rng.choice(["", " ", "\n  ", "\t", "\r\n", " \r "])

    def text(self):
        parts = ["text", "Ёж", "&amp;", "&lt;", ">", "&gt;", "]", "]]", "&#13;", "&#x41F;", "\r\n", "\r", "\t", '"', "'", "&quot;", "&apos;",
                 "<![CDATA[<&>]] ]]>", "<![CDATA[]]>", "<!-- c -->", "🙂", "&#x1F642;", "\u0085", "\u2028", " "]
        return "".join(self.rng.choice(parts) for _ in range(self.rng.randrange(6)))

    def value(self):
        parts = ["v", "Ж", "&amp;", "&lt;", ">", "&#9;", "&#10;", "&#13;", "\t", "\n", "\r\n", "&quot;", "&apos;", " ", "&#x20;", "🙂"]
        return "".join(self.rng.choice(parts) for _ in range(self.rng.randrange(5)))

    def attribute(self, name, value):
        quote = self.rng.choice("\"'")
        return f"{self.blanks() or ' '}{name}{self.rng.choice(['=', ' = '])}{quote}{value}{quote}"

    def element(self, depth, scope):
        scope = dict(scope)
        parts = []
        for prefix in self.rng.sample(self.prefixes, self.rng.choice([0, 0, 0, 1, 2, 3])):
            uri = self.rng.choice(URIS + ([""] if prefix == "" else []))
            scope[prefix] = uri
            name = f"xmlns:{prefix}" if prefix else "xmlns"
            parts.append((name, uri.replace("'", "&apos;")))
        prefix = self.rng.choice(list(scope))
        name = (prefix + ":" if prefix else "") + self.rng.choice(self.locals)
        used = set()
        for _ in range(self.rng.choice([0, 0, 1, 2, 4])):
            prefix = self.rng.choice(["", *[p for p in scope if p], "xml"])
            local = "lang" if prefix == "xml" else self.rng.choice(self.locals)
            expanded = ("xml" if prefix == "xml" else scope[prefix] if prefix else "", local)
            if expanded not in used:
                used.add(expanded)
                parts.append(((prefix + ":" if prefix else "") + local, self.value()))
        self.rng.shuffle(parts)
        tag = name + "".join(self.attribute(*part) for part in parts) + self.rng.choice(["", " ", "\n"])
        children = "".join(self.text() + self.element(depth + 1, scope) for _ in range(self.rng.randrange(4 if depth < 4 else 1)))
        children += self.text()
        return f"<{tag}/>" if not children else f"<{tag}>{children}</{name}{self.rng.choice(['', ' '])}>"

    def document(self):
        if self.rng.random() < 0.03:
            return "<x>" + "".join(self.element(1, {"": ""}) + self.text() for _ in range(300)) + "</x>"
        head = self.rng.choice(["", '<?xml version="1.0" encoding="UTF-8"?>\r\n', "\ufeff", "<!-- before -->\n"])
        return head + self.element(0, {"": ""}) + self.rng.choice(["", "\n", "<!-- after -->"])


def documents(rng, count, refused=None, ascii_names=False):
    """Well-formed ones with their trees; what lxml refuses is put into the folder `refused`."""
    maker = Maker(rng, ascii_names)
    made = 0
    while made < count:
        text = maker.document().encode()
        try:
            root = etree.fromstring(text)
        except etree.XMLSyntaxError:
            if refused:
                (refused / f"refused-{made:04}.xml").write_bytes(text)
            continue
        yield text, root
        made += 1


def make(folder, seed, count, keys):
    rng = random.Random(int(seed))
    for number, (text, root) in enumerate(documents(rng, int(count), folder)):
        prefixes = rng.choice([[], [], ["a"], ["a", "z", "none"]])
        canonical = etree.tostring(root.getroottree(), method="c14n", exclusive=True, with_comments=False,
                                   inclusive_ns_prefixes=prefixes or None)
        base = folder / f"{number:04}"
        base.with_suffix(".xml").write_bytes(text)
        base.with_suffix(".c14n").write_bytes(canonical)
        base.with_suffix(".prefixes").write_text(" ".join(prefixes))
    for number, (text, _) in enumerate(documents(rng, 10, ascii_names=True)):
        (folder / f"plain-{number}.xml").write_bytes(text)
    keys = pathlib.Path(keys)
    for name, method in [("supplier-1", "RSA_SHA256"), ("supplier-2", "RSA_SHA512"), ("supplier-3", "ECDSA_SHA256")]:
        for number, (_, root) in enumerate(documents(rng, 10, ascii_names=True)):
            # signxml writes the tree out in ASCII before it signs, which other names do not survive.
            root.set("Id", "it")
            signer = XMLSigner(method=methods.enveloped, signature_algorithm=SignatureMethod[method],
                               digest_algorithm="sha512" if "512" in method else "sha256",
                               c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0)
            signed = signer.sign(root, key=(keys / f"{name}.key").read_bytes(), cert=(keys / f"{name}.crt").read_text(),
                                 reference_uri="it" if number % 2 else None)
            (folder / f"signed-{name}-{number}.xml").write_bytes(etree.tostring(signed))


def verify(folder, authority):
    ours = sorted(folder.glob("ours-*.xml"))
    assert len(ours) >= 30, len(ours)
    expect = SignatureConfiguration(signature_methods=frozenset([SignatureMethod.RSA_SHA256, SignatureMethod.ECDSA_SHA256]))
    for path in ours:
        result = XMLVerifier().verify(path.read_bytes(), ca_pem_file=authority, expect_config=expect,
                                      id_attribute="Id")
        name = etree.fromstring(path.read_bytes()).tag
        assert result.signed_xml.tag == name, path


if __name__ == "__main__":
    command, folder, *rest = sys.argv[1:]
    {"make": make, "verify": verify}[command](pathlib.Path(folder), *rest)
