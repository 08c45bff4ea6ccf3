//! Whom to believe on TLS: the system's roots, an operator's own, and pinned certificates.
//!
//! There is no way to believe everybody. A pin names one certificate or one key by its SHA-256. When pins are given, the
//! other side must match one, and matching is enough: whoever holds the pinned key is who the operator meant, whatever
//! name or authority the certificate of an appliance shows. The signatures of the handshake are verified in every case,
//! because a certificate alone is public.

use super::BuildError;
use crate::key::Key;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, SignatureScheme};
use rustls_platform_verifier::Verifier;
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Whom one client believes.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Certificates of authorities, as PEM text, that count beside the system's.
    pub authorities: Option<String>,
    /// SHA-256 of certificates (DER) or of their public keys (SPKI). Empty: any certificate of an authority will do.
    pub pins: Vec<[u8; 32]>,
}

/// Why the other side is not believed, with what an operator needs to judge it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Untrusted {
    /// Its certificate was refused.
    #[error(
        "its certificate is not trusted ({reason}); it has SHA-256 {fingerprint}. If it is the appliance's own, set \
         DARKTRACE_PIN_SHA256 to that value, or DARKTRACE_CA_PEM to the certificate of the authority that issued it"
    )]
    Certificate {
        /// What is wrong with it.
        reason: String,
        /// Its SHA-256 in hexadecimal digits.
        fingerprint: String,
    },
    /// Its certificate would do, but the handshake was signed with another key: a copied certificate.
    #[error(
        "whoever answers does not hold the key of the certificate that it shows (SHA-256 {fingerprint}), so it is not \
         the one that this certificate belongs to; find out who answers at DARKTRACE_HOST"
    )]
    Impostor {
        /// The SHA-256 of the certificate in hexadecimal digits.
        fingerprint: String,
    },
}

/// The certificates that the other side showed last, its own first, in DER. Whether they were believed is not said here.
#[derive(Clone, Debug, Default)]
pub struct Presented(Arc<Mutex<Vec<Vec<u8>>>>);

impl Presented {
    /// The chain; empty when no certificate was shown yet.
    #[must_use]
    pub fn chain(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) {
        let chain = std::iter::once(end_entity).chain(intermediates).map(|certificate| certificate.to_vec());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = chain.collect();
    }
}

impl Trust {
    pub(super) fn config(&self) -> Result<ClientConfig, BuildError> {
        self.watched_config(None)
    }

    pub(super) fn witnessed_config(&self, witness: Presented) -> Result<ClientConfig, BuildError> {
        self.watched_config(Some(witness))
    }

    fn watched_config(&self, witness: Option<Presented>) -> Result<ClientConfig, BuildError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Arc::new(Believer {
            roots: self.roots(&provider)?,
            pins: self.pins.clone(),
            algorithms: provider.signature_verification_algorithms,
            witness,
        });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| BuildError(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(config)
    }

    fn roots(&self, provider: &Arc<CryptoProvider>) -> Result<Option<Arc<Verifier>>, BuildError> {
        if !self.pins.is_empty() {
            return Ok(None);
        }
        let Some(pem) = &self.authorities else { return system_roots(provider).map(Some) };
        let verifier = Verifier::new_with_extra_roots(read_certificates(pem)?, Arc::clone(provider));
        verifier.map(|verifier| Some(Arc::new(verifier))).map_err(|error| BuildError(error.to_string()))
    }
}

/// The system's roots, read and parsed once: that takes milliseconds, and there is a client for each master.
fn system_roots(provider: &Arc<CryptoProvider>) -> Result<Arc<Verifier>, BuildError> {
    static ROOTS: OnceLock<Arc<Verifier>> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(Arc::clone(roots));
    }
    let roots = Verifier::new(Arc::clone(provider)).map_err(|error| BuildError(error.to_string()))?;
    Ok(Arc::clone(ROOTS.get_or_init(|| Arc::new(roots))))
}

fn read_certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, BuildError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(BuildError("DARKTRACE_CA_PEM holds no certificate".to_owned())),
        Err(error) => Err(BuildError(format!("DARKTRACE_CA_PEM is not a PEM certificate: {error}"))),
    }
}

/// The disbelief among the causes of a failed request.
pub(super) fn untrusted(error: &reqwest::Error) -> Option<Untrusted> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        // An I/O error answers `source()` with the source of what it wraps, not with that itself.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = wrapped.and_then(|e| e.downcast_ref()).or_else(|| error.downcast_ref());
        if let Some(rustls::Error::Other(OtherError(inner))) = tls {
            return inner.downcast_ref().cloned();
        }
        cause = wrapped.map_or_else(|| error.source(), |e| Some(e));
    }
    None
}

#[derive(Debug)]
struct Believer {
    /// Absent when pins decide.
    roots: Option<Arc<Verifier>>,
    pins: Vec<[u8; 32]>,
    algorithms: WebPkiSupportedAlgorithms,
    /// Who wants to know what was shown.
    witness: Option<Presented>,
}

impl Believer {
    fn matches_a_pin(&self, certificate: &CertificateDer<'_>) -> bool {
        let whole: [u8; 32] = Sha256::digest(certificate).into();
        let key = webpki::EndEntityCert::try_from(certificate)
            .map(|parsed| <[u8; 32]>::from(Sha256::digest(&*parsed.subject_public_key_info())));
        self.pins.iter().any(|pin| *pin == whole || key.as_ref().is_ok_and(|key| pin == key))
    }
}

fn refuse(certificate: &CertificateDer<'_>, reason: String) -> rustls::Error {
    let fingerprint = Key::hex(&Sha256::digest(certificate));
    rustls::Error::Other(OtherError(Arc::new(Untrusted::Certificate { reason, fingerprint })))
}

/// What is wrong with a certificate, as an operator reads it. The library's own words name its types.
fn in_words(error: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(wrong) = error else { return error.to_string() };
    let words = match wrong {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet, or this machine's clock is behind"
        }
        CertificateError::UnknownIssuer => "its authority is not one of those that are trusted here",
        CertificateError::NotValidForNameContext { expected, .. } => {
            return format!("it is not made out to {}, the name in DARKTRACE_HOST", expected.to_str());
        }
        CertificateError::Revoked => "its authority has revoked it",
        CertificateError::Other(other) if is_an_authoritys(other) => {
            "it is an authority's own, and nobody vouches for it"
        }
        _ => return error.to_string(),
    };
    words.to_owned()
}

/// What `openssl req -x509` makes is marked as an authority, which a server must not show as its own.
fn is_an_authoritys(error: &OtherError) -> bool {
    matches!(error.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// A signature that does not fit the certificate is no fault of the network, and no repeat will mend it.
fn unmask(certificate: &CertificateDer<'_>, error: rustls::Error) -> rustls::Error {
    if error != rustls::Error::InvalidCertificate(CertificateError::BadSignature) {
        return error;
    }
    let fingerprint = Key::hex(&Sha256::digest(certificate));
    rustls::Error::Other(OtherError(Arc::new(Untrusted::Impostor { fingerprint })))
}

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(witness) = &self.witness {
            witness.note(end_entity, intermediates);
        }
        match &self.roots {
            Some(roots) => roots
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .map_err(|error| refuse(end_entity, in_words(&error))),
            None if self.matches_a_pin(end_entity) => Ok(ServerCertVerified::assertion()),
            None => Err(refuse(end_entity, "it matches none of the pins".to_owned())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
            .map_err(|error| unmask(certificate, error))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
            .map_err(|error| unmask(certificate, error))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_a_certificate_is_refused_by_name() {
        for pem in ["", "hello", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"] {
            let trust = Trust { authorities: Some(pem.to_owned()), pins: Vec::new() };
            let error = trust.config().unwrap_err().to_string();
            assert!(error.contains("DARKTRACE_CA_PEM"), "{error}");
        }
    }

    #[test]
    fn pins_alone_need_no_roots() {
        let trust = Trust { authorities: None, pins: vec![[7; 32]] };
        assert!(trust.config().is_ok());
    }
}
