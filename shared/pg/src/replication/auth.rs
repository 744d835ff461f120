//! Proves to the server who we are without telling an unknown server the password
//! (PostgreSQL docs, "SASL Authentication").

use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;

use crate::Error;
use crate::password_guard::PasswordRefused;
use crate::replication::startup::{Credentials, Startup, unexpected};

/// Runs the login and returns whether it was bound to the TLS connection.
///
/// The server gets one request: after its answer only `AuthenticationOk` may follow, so a server
/// cannot go from method to method.
pub(crate) async fn authenticate(
    startup: &mut Startup,
    credentials: Credentials<'_>,
) -> Result<bool, Error> {
    let mut channel_bound = false;
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is non-exhaustive")]
    match startup.receive().await? {
        Message::AuthenticationOk => return Ok(false),
        Message::AuthenticationCleartextPassword => {
            let password = disclosable_password(&credentials)?;
            send_password(startup, password.as_bytes()).await?;
        }
        Message::AuthenticationMd5Password(body) => {
            let password = disclosable_password(&credentials)?.as_bytes();
            let hash = md5_hash(credentials.user.as_bytes(), password, body.salt());
            send_password(startup, hash.as_bytes()).await?;
        }
        Message::AuthenticationSasl(body) => {
            channel_bound = scram(startup, &body, credentials).await?;
        }
        Message::AuthenticationGss
        | Message::AuthenticationSspi
        | Message::AuthenticationKerberosV5
        | Message::AuthenticationScmCredential => {
            return Err(refused(
                "the server asks for a method other than a password",
            ));
        }
        _ => return Err(unexpected("in the login")),
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is non-exhaustive")]
    match startup.receive().await? {
        Message::AuthenticationOk => Ok(channel_bound),
        _ => Err(unexpected("in place of the end of the login")),
    }
}

/// SCRAM-SHA-256, bound to the TLS connection where both sides can.
async fn scram(
    startup: &mut Startup,
    request: &AuthenticationSaslBody,
    credentials: Credentials<'_>,
) -> Result<bool, Error> {
    let offered: Vec<&str> = request
        .mechanisms()
        .collect()
        .map_err(|cause| Error::malformed(&cause))?;
    let password = given_password(&credentials)?;
    let plus = offered.contains(&SCRAM_SHA_256_PLUS);
    if !plus && !offered.contains(&SCRAM_SHA_256) {
        return Err(refused("the server knows no SCRAM-SHA-256"));
    }
    let (mechanism, binding) = match (credentials.channel_binding, plus) {
        (Some(data), true) => (
            SCRAM_SHA_256_PLUS,
            ChannelBinding::tls_server_end_point(data),
        ),
        // Says "I could have bound": a server that did offer it then knows that somebody between
        // has removed the offer.
        (Some(_), false) => (SCRAM_SHA_256, ChannelBinding::unrequested()),
        (None, _) => (SCRAM_SHA_256, ChannelBinding::unsupported()),
    };
    let mut exchange = ScramSha256::new(password.as_bytes(), binding);
    frontend::sasl_initial_response(mechanism, exchange.message(), startup.output())
        .map_err(|error| refused(&error.to_string()))?;
    startup.send().await?;

    let Message::AuthenticationSaslContinue(body) = startup.receive().await? else {
        return Err(unexpected("in the SCRAM exchange"));
    };
    exchange
        .update(body.data())
        .map_err(|error| refused(&error.to_string()))?;
    frontend::sasl_response(exchange.message(), startup.output())
        .map_err(|error| refused(&error.to_string()))?;
    startup.send().await?;

    let Message::AuthenticationSaslFinal(body) = startup.receive().await? else {
        return Err(unexpected("in the SCRAM exchange"));
    };
    exchange
        .finish(body.data())
        .map_err(|error| refused(&error.to_string()))?;
    Ok(mechanism == SCRAM_SHA_256_PLUS)
}

async fn send_password(startup: &mut Startup, password: &[u8]) -> Result<(), Error> {
    frontend::password_message(password, startup.output())
        .map_err(|error| refused(&error.to_string()))?;
    startup.send().await
}

/// The password for a method that lets the server keep or replay it.
fn disclosable_password<'a>(credentials: &Credentials<'a>) -> Result<&'a str, Error> {
    if credentials.peer_is_known {
        given_password(credentials)
    } else {
        Err(refused(&PasswordRefused.to_string()))
    }
}

fn given_password<'a>(credentials: &Credentials<'a>) -> Result<&'a str, Error> {
    let password = credentials.password.expose();
    if password.is_empty() {
        Err(refused("the server asks for a password, and none is given"))
    } else {
        Ok(password)
    }
}

fn refused(reason: &str) -> Error {
    Error::Authentication(reason.to_owned())
}
