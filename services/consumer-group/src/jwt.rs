//! NATS JWTs, version 2: what the auth callout reads and writes (NATS ADR-14, ADR-26).
//!
//! A JWT is three parts of base64url, joined by dots: header, claims, and the issuer's Ed25519
//! signature of the first two with the dot between them. The issuer is an nkey.

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use nkeys::{KeyPair, KeyPairType};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::permission::Permissions;

/// Audience of every request that a server makes to an auth callout.
const REQUEST_AUDIENCE: &str = "nats-authorization-request";

const REQUEST_TYPE: &str = "authorization_request";
const ALGORITHM: &str = "ed25519-nkey";
const VERSION: u32 = 2;

/// A limit of a user that is none.
const UNLIMITED: i64 = -1;

/// Largest message of a user, in bytes: members publish questions, pulls and acks. `nats.conf` has the same limit for their
/// account: nats-server 2.15 drops the token of a callout before it looks for the user's limits.
const PAYLOAD: i64 = 65_536;

/// A JWT that is not what it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JwtError {
    /// Not three parts.
    #[error("not three parts")]
    Parts,
    /// A part is not base64url.
    #[error("a part is not base64url")]
    Encoding(#[from] data_encoding::DecodeError),
    /// A part is not the JSON it should be.
    #[error("a part is not the expected JSON")]
    Json(#[from] serde_json::Error),
    /// Signed in another way.
    #[error("signed with {0:?} instead of {ALGORITHM}")]
    Algorithm(String),
    /// Not made for an auth callout.
    #[error("of type {kind:?} for {audience:?}, not a request to an auth callout")]
    NotARequest {
        /// The claimed type.
        kind: String,
        /// The claimed audience.
        audience: String,
    },
    /// The issuer is not the server that the claims name.
    #[error("issued by {0:?}, which is not the server that asks")]
    Issuer(String),
    /// The key is malformed, or the signature is not the issuer's.
    #[error("the signature does not hold")]
    Signature(#[from] nkeys::error::Error),
}

/// What a server asks: may this connection be made?
#[derive(Debug)]
pub(crate) struct Request {
    /// The key that the answer must be about.
    pub(crate) user_nkey: String,
    /// The server that asks; the answer is for it alone.
    pub(crate) server_id: String,
    /// When the server stops waiting, in seconds of Unix time; zero where it does not say.
    pub(crate) expires_at: i64,
    /// Where the client comes from.
    pub(crate) host: String,
    /// What the client calls itself; empty for nothing.
    pub(crate) client_name: String,
    /// The login; empty for none.
    pub(crate) user: String,
    /// The password; empty for none.
    pub(crate) password: rowcast_domain::Secret,
}

#[derive(Serialize, Deserialize)]
struct Header {
    typ: String,
    alg: String,
}

#[derive(Deserialize)]
struct RequestClaims {
    #[serde(default)]
    aud: String,
    #[serde(default)]
    exp: i64,
    iss: String,
    nats: RequestBody,
}

#[derive(Deserialize)]
struct RequestBody {
    #[serde(rename = "type")]
    kind: String,
    server_id: ServerId,
    user_nkey: String,
    #[serde(default)]
    client_info: ClientInfo,
    connect_opts: ConnectOptions,
}

#[derive(Deserialize)]
struct ServerId {
    id: String,
}

#[derive(Default, Deserialize)]
struct ClientInfo {
    #[serde(default)]
    host: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct ConnectOptions {
    #[serde(default)]
    user: String,
    #[serde(default)]
    pass: String,
}

#[derive(Serialize)]
struct Claims<'a, B> {
    /// Hash of the claims with this field empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    jti: String,
    iat: i64,
    /// When it is over; `None` for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    iss: String,
    sub: &'a str,
    aud: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    nats: B,
}

#[derive(Serialize)]
struct UserBody<'a> {
    #[serde(flatten)]
    permissions: &'a Permissions,
    subs: i64,
    data: i64,
    payload: i64,
    #[serde(rename = "type")]
    kind: &'static str,
    version: u32,
}

#[derive(Serialize)]
struct ResponseBody<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    jwt: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    error: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    version: u32,
}

/// A user as the server will know it.
#[derive(Debug)]
pub(crate) struct User<'a> {
    /// The key that the server gave to the connection.
    pub(crate) nkey: &'a str,
    /// The account that the connection lands in.
    pub(crate) account: &'a str,
    /// The name under which the server reports the connection.
    pub(crate) name: &'a str,
    /// What it may do.
    pub(crate) permissions: &'a Permissions,
    /// Most subscriptions of a connection.
    pub(crate) subscriptions: i64,
    /// When the server closes the connection, in seconds of Unix time.
    pub(crate) expires_at: i64,
}

impl Request {
    /// Reads a request and proves that the server it names has signed it.
    pub(crate) fn read(payload: &[u8]) -> Result<Self, JwtError> {
        let mut parts = payload.split(|&byte| byte == b'.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JwtError::Parts);
        };
        let head: Header = serde_json::from_slice(&BASE64URL_NOPAD.decode(header)?)?;
        if head.alg != ALGORITHM {
            return Err(JwtError::Algorithm(head.alg));
        }
        let signed = [header, b".", claims].concat();
        let claims: RequestClaims = serde_json::from_slice(&BASE64URL_NOPAD.decode(claims)?)?;
        let RequestClaims {
            aud,
            exp,
            iss,
            nats,
        } = claims;
        if aud != REQUEST_AUDIENCE || nats.kind != REQUEST_TYPE {
            return Err(JwtError::NotARequest {
                kind: nats.kind,
                audience: aud,
            });
        }
        let issuer = KeyPair::from_public_key(&iss)?;
        if issuer.key_pair_type() != KeyPairType::Server || iss != nats.server_id.id {
            return Err(JwtError::Issuer(iss));
        }
        issuer.verify(&signed, &BASE64URL_NOPAD.decode(signature)?)?;
        Ok(Self {
            user_nkey: nats.user_nkey,
            server_id: iss,
            expires_at: exp,
            host: nats.client_info.host,
            client_name: nats.client_info.name,
            user: nats.connect_opts.user,
            password: nats.connect_opts.pass.into(),
        })
    }
}

/// Says yes: a JWT for the user, wrapped in the answer to `request`.
pub(crate) fn allow(
    request: &Request,
    user: &User<'_>,
    issuer: &KeyPair,
    now: i64,
) -> Result<String, JwtError> {
    let claims = Claims {
        jti: String::new(),
        iat: now,
        exp: Some(user.expires_at),
        iss: issuer.public_key(),
        sub: user.nkey,
        aud: user.account,
        name: user.name,
        nats: UserBody {
            permissions: user.permissions,
            subs: user.subscriptions,
            data: UNLIMITED,
            payload: PAYLOAD,
            kind: "user",
            version: VERSION,
        },
    };
    let jwt = sign(claims, issuer)?;
    respond(request, &jwt, "", issuer, now)
}

/// Says no. The server tells the client only that it is not authorized, and logs `reason`.
pub(crate) fn deny(
    request: &Request,
    reason: &str,
    issuer: &KeyPair,
    now: i64,
) -> Result<String, JwtError> {
    respond(request, "", reason, issuer, now)
}

fn respond(
    request: &Request,
    jwt: &str,
    error: &str,
    issuer: &KeyPair,
    now: i64,
) -> Result<String, JwtError> {
    let claims = Claims {
        jti: String::new(),
        iat: now,
        exp: None,
        iss: issuer.public_key(),
        sub: &request.user_nkey,
        aud: &request.server_id,
        name: "",
        nats: ResponseBody {
            jwt,
            error,
            kind: "authorization_response",
            version: VERSION,
        },
    };
    sign(claims, issuer)
}

fn sign<B: Serialize>(mut claims: Claims<'_, B>, issuer: &KeyPair) -> Result<String, JwtError> {
    let header = Header {
        typ: "JWT".to_owned(),
        alg: ALGORITHM.to_owned(),
    };
    let hash = digest(&SHA256, &serde_json::to_vec(&claims)?);
    claims.jti = BASE32_NOPAD.encode(hash.as_ref());
    let mut jwt = BASE64URL_NOPAD.encode(&serde_json::to_vec(&header)?);
    jwt.push('.');
    BASE64URL_NOPAD.encode_append(&serde_json::to_vec(&claims)?, &mut jwt);
    let signature = issuer.sign(jwt.as_bytes())?;
    jwt.push('.');
    BASE64URL_NOPAD.encode_append(&signature, &mut jwt);
    Ok(jwt)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn part(value: &Value) -> String {
        BASE64URL_NOPAD.encode(value.to_string().as_bytes())
    }

    fn request_claims(server: &KeyPair) -> Value {
        json!({
            "aud": REQUEST_AUDIENCE,
            "iss": server.public_key(),
            "exp": 1_700_000_002,
            "nats": {
                "type": REQUEST_TYPE,
                "version": 2,
                "server_id": { "id": server.public_key(), "name": "rowcast" },
                "user_nkey": "UUSER",
                "client_info": { "host": "192.0.2.1", "id": 7, "name": "shop" },
                "connect_opts": { "user": "reader-g1", "pass": "hunter2A", "protocol": 1 },
            },
        })
    }

    fn signed(claims: &Value, by: &KeyPair) -> String {
        let head = part(&json!({ "typ": "JWT", "alg": ALGORITHM }));
        let text = format!("{head}.{}", part(claims));
        let signature = BASE64URL_NOPAD.encode(&by.sign(text.as_bytes()).unwrap());
        format!("{text}.{signature}")
    }

    fn claims_of(jwt: &str) -> Value {
        let claims = jwt.split('.').nth(1).unwrap();
        serde_json::from_slice(&BASE64URL_NOPAD.decode(claims.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn a_request_of_a_server_is_read() {
        let server = KeyPair::new_server();
        let jwt = signed(&request_claims(&server), &server);
        let request = Request::read(jwt.as_bytes()).unwrap();
        assert_eq!(request.user, "reader-g1");
        assert_eq!(request.password.expose(), "hunter2A");
        assert_eq!(request.host, "192.0.2.1");
        assert_eq!(request.client_name, "shop");
        assert_eq!(request.server_id, server.public_key());
        assert_eq!(request.expires_at, 1_700_000_002);
        assert!(!format!("{request:?}").contains("hunter2A"));
    }

    #[test]
    fn a_request_that_its_server_did_not_sign_is_refused() {
        let server = KeyPair::new_server();
        let jwt = signed(&request_claims(&server), &KeyPair::new_server());
        let error = Request::read(jwt.as_bytes()).unwrap_err();
        assert!(matches!(error, JwtError::Signature(_)), "{error:?}");
    }

    #[test]
    fn a_request_in_the_name_of_another_server_is_refused() {
        let server = KeyPair::new_server();
        let mut claims = request_claims(&server);
        claims["nats"]["server_id"]["id"] = KeyPair::new_server().public_key().into();
        let error = Request::read(signed(&claims, &server).as_bytes()).unwrap_err();
        assert!(matches!(error, JwtError::Issuer(_)), "{error:?}");
    }

    #[test]
    fn a_request_that_a_user_signed_is_refused() {
        let user = KeyPair::new_user();
        let error = Request::read(signed(&request_claims(&user), &user).as_bytes()).unwrap_err();
        assert!(matches!(error, JwtError::Issuer(_)), "{error:?}");
    }

    #[test]
    fn another_audience_or_algorithm_is_refused() {
        let server = KeyPair::new_server();
        let mut claims = request_claims(&server);
        claims["aud"] = "elsewhere".into();
        let error = Request::read(signed(&claims, &server).as_bytes()).unwrap_err();
        assert!(matches!(error, JwtError::NotARequest { .. }), "{error:?}");

        let head = part(&json!({ "typ": "JWT", "alg": "none" }));
        let jwt = format!("{head}.{}.", part(&request_claims(&server)));
        let error = Request::read(jwt.as_bytes()).unwrap_err();
        assert!(matches!(error, JwtError::Algorithm(_)), "{error:?}");
    }

    #[test]
    fn no_jwt_is_refused() {
        for text in ["", ".", "..", "a.b", "a.b.c.d", "{}.{}.{}"] {
            assert!(Request::read(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_answer_is_for_the_server_and_holds_a_signed_user() {
        let (server, issuer) = (KeyPair::new_server(), KeyPair::new_account());
        let jwt = signed(&request_claims(&server), &server);
        let request = Request::read(jwt.as_bytes()).unwrap();
        let permissions = Permissions::default();
        let user = User {
            nkey: &request.user_nkey,
            account: "CLIENTS",
            name: &request.user,
            permissions: &permissions,
            subscriptions: 68,
            expires_at: 1_700_086_400,
        };
        let answer = claims_of(&allow(&request, &user, &issuer, 1_700_000_000).unwrap());
        assert_eq!(answer["aud"], server.public_key());
        assert_eq!(answer["sub"], "UUSER");
        assert_eq!(answer["iss"], issuer.public_key());
        assert_eq!(answer["nats"]["type"], "authorization_response");

        let jwt = answer["nats"]["jwt"].as_str().unwrap();
        let (text, signature) = jwt.rsplit_once('.').unwrap();
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
        issuer.verify(text.as_bytes(), &signature).unwrap();
        let user = claims_of(jwt);
        assert_eq!(user["aud"], "CLIENTS");
        assert_eq!(user["name"], "reader-g1");
        assert_eq!(user["nats"]["type"], "user");
        assert_eq!(user["jti"].as_str().unwrap().len(), 52);
        assert_eq!(user["exp"], 1_700_086_400);
        assert_eq!(
            (&user["nats"]["subs"], &user["nats"]["payload"]),
            (&json!(68), &json!(65_536))
        );
        assert!(answer.get("exp").is_none());
    }

    #[test]
    fn a_refusal_holds_no_user() {
        let (server, issuer) = (KeyPair::new_server(), KeyPair::new_account());
        let jwt = signed(&request_claims(&server), &server);
        let request = Request::read(jwt.as_bytes()).unwrap();
        let answer = claims_of(&deny(&request, "no such login", &issuer, 0).unwrap());
        assert_eq!(answer["nats"]["error"], "no such login");
        assert!(answer["nats"].get("jwt").is_none());
    }
}
