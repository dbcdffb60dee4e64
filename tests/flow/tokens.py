"""Makes access tokens, valid and invalid."""

import base64
import hashlib
import hmac
import json
import time

import nacl.signing


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Maker:
    """Makes tokens signed with the server's key, or with a given key."""

    def __init__(self, stack):
        jwk = json.loads((stack.home / "keys" / "token.jwk").read_text())
        jwk = jwk["keys"][0] if "keys" in jwk else jwk
        self.kid = jwk["kid"]
        self.public = unb64(jwk["x"])
        self.key = nacl.signing.SigningKey(unb64(jwk["d"]))

    def make(self, phone, header=None, claims=None, key=None, drop=()):
        now = int(time.time())
        head = {"alg": "EdDSA", "typ": "JWT", "kid": self.kid}
        head.update(header or {})
        body = {"sub": phone.user, "did": phone.device, "iat": now,
                "exp": now + 900}
        body.update(claims or {})
        for name in drop:
            body.pop(name)
        text = b64(json.dumps(head).encode()) + "." \
            + b64(json.dumps(body).encode())
        signed = (key or self.key).sign(text.encode()).signature
        return text + "." + b64(signed)

    def hs256(self, phone):
        """A known attack: the public key used as the secret of an HMAC."""
        token = self.make(phone, {"alg": "HS256"})
        text = token.rsplit(".", 1)[0]
        mac = hmac.new(self.public, text.encode(), hashlib.sha256).digest()
        return text + "." + b64(mac)


def bad_tokens(maker, phone):
    """{name: (Authorization header or None, expected error code)}"""
    good = maker.make(phone)
    now = int(time.time())
    h, c, s = good.split(".")
    other = nacl.signing.SigningKey.generate()
    flipped = bytes([unb64(s)[0] ^ 1]) + unb64(s)[1:]
    other_user = b64(json.dumps({"sub": "1", "did": "1", "iat": now,
                                 "exp": now + 900}).encode())
    wrong = {
        "absent": None,
        "empty": "",
        "no token": "Bearer ",
        "other scheme": "Basic " + good,
        "no scheme": good,
        "not a token": "Bearer x",
        "two parts": f"Bearer {h}.{c}",
        "four parts": f"Bearer {good}.x",
        "not base64": f"Bearer {h}.!!!.{s}",
        "standard base64 padding": f"Bearer {good}==",
        "no signature": f"Bearer {h}.{c}.",
        "signature changed": f"Bearer {h}.{c}.{b64(flipped)}",
        "claims changed": f"Bearer {h}.{other_user}.{s}",
        "other key": "Bearer " + maker.make(phone, key=other),
        "other kid": "Bearer " + maker.make(phone, {"kid": "nobody"}),
        "alg none": "Bearer " + maker.make(phone, {"alg": "none"}),
        "alg none, unsigned":
            "Bearer " + b64(b'{"alg":"none"}') + f".{c}.",
        "alg HS256": "Bearer " + maker.hs256(phone),
        "alg absent": "Bearer " + maker.make(phone, {"alg": None}),
        "no sub": "Bearer " + maker.make(phone, drop=["sub"]),
        "no did": "Bearer " + maker.make(phone, drop=["did"]),
        "no exp": "Bearer " + maker.make(phone, drop=["exp"]),
        "sub not a number":
            "Bearer " + maker.make(phone, claims={"sub": "1 OR 1=1"}),
        "sub negative": "Bearer " + maker.make(phone, claims={"sub": "-1"}),
        "exp a string":
            "Bearer " + maker.make(phone, claims={"exp": "9999999999"}),
        "issued in the future":
            "Bearer " + maker.make(phone, claims={"iat": now + 3600,
                                                  "exp": now + 7200}),
        "far too long":
            "Bearer " + maker.make(phone, claims={"pad": "x" * 3000}),
    }
    table = {name: (value, "unauthorized") for name, value in wrong.items()}
    table["expired"] = ("Bearer " + maker.make(
        phone, claims={"iat": now - 2000, "exp": now - 1}), "token_expired")
    return table
