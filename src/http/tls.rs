//! TLS by rustls: our certificate, and client certificates where a peer has one.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file cannot be read or holds nothing of the kind.
    #[error("{0}: not a readable PEM file of what it should hold")]
    Pem(String, #[source] pem::Error),
    /// Certificate and key do not belong together, or are of a kind that TLS does not take.
    #[error("the certificate cannot be used for TLS")]
    Certificate(#[from] rustls::Error),
    /// The authorities cannot judge client certificates.
    #[error("the authorities of client certificates cannot be used")]
    Authorities(#[from] rustls::server::VerifierBuilderError),
}

/// Makes `ring` the process's TLS provider, for clients that ask for no particular one.
/// A second call changes nothing.
pub fn install_provider() {
    if CryptoProvider::get_default().is_none()
        && ring::default_provider().install_default().is_err()
    {
        tracing::debug!("a TLS provider was installed at the same time");
    }
}

/// Sets TLS 1.2 and 1.3 up from PEM files.
///
/// With `client_authorities` clients are asked for a certificate, which must then be issued by
/// one of them; a client without one is let in and judged by what it sends.
///
/// # Errors
/// [`TlsError`]: the files cannot be read, or what they hold does not fit together.
pub fn acceptor(
    certificate: &Path,
    key: &Path,
    client_authorities: Option<&Path>,
) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| TlsError::Pem(key.display().to_string(), error))?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = match client_authorities {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                roots.add(authority)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let refused = |error| TlsError::Pem(path.display().to_string(), error);
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(refused)?
        .collect::<Result<_, _>>()
        .map_err(refused)?;
    if chain.is_empty() { Err(refused(pem::Error::NoItemsFound)) } else { Ok(chain) }
}
