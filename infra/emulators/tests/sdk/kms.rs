use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, MessageType, SigningAlgorithmSpec};
use emulators::kms::{KeySpec, KeyUsage, Kms};
use emulators::{EngineError, Storage};
use http::Request;

use super::{code, sdk, send};

fn keys() -> Vec<KeySpec> {
    vec![
        KeySpec {
            name: "DataKey".into(),
            alias: Some("alias/data".into()),
            usage: KeyUsage::EncryptDecrypt,
        },
        KeySpec {
            name: "OtherKey".into(),
            alias: None,
            usage: KeyUsage::EncryptDecrypt,
        },
        KeySpec {
            name: "SigningKey".into(),
            alias: None,
            usage: KeyUsage::SignVerify,
        },
    ]
}

async fn start(storage: &Storage) -> (Kms, Client) {
    let kms = Kms::start(storage, "eu-central-1", keys()).await.unwrap();
    let client = Client::new(&sdk(kms.endpoint()));
    (kms, client)
}

#[tokio::test]
async fn a_data_key_opens_only_under_its_own_context() {
    let (kms, client) = start(&Storage::Memory).await;
    let arn = kms.arn("DataKey");
    let made = client
        .generate_data_key()
        .key_id(&arn)
        .key_spec(DataKeySpec::Aes256)
        .encryption_context("customer", "acme")
        .encryption_context("purpose", "orders")
        .send()
        .await
        .unwrap();
    assert_eq!(made.key_id(), Some(&*arn));
    let plaintext = made.plaintext().unwrap();
    assert_eq!(plaintext.as_ref().len(), 32);
    let sealed = made.ciphertext_blob().unwrap();

    let decrypt = |customer: &str| {
        let request = client
            .decrypt()
            .ciphertext_blob(sealed.clone())
            .encryption_context("customer", customer);
        request.encryption_context("purpose", "orders")
    };
    assert_eq!(
        decrypt("acme").send().await.unwrap().plaintext(),
        Some(plaintext)
    );
    assert_eq!(
        decrypt("acme")
            .key_id("alias/data")
            .send()
            .await
            .unwrap()
            .plaintext(),
        Some(plaintext)
    );
    assert_eq!(
        code(decrypt("umbrella").send().await),
        "InvalidCiphertextException"
    );
    let without = client
        .decrypt()
        .ciphertext_blob(sealed.clone())
        .send()
        .await;
    assert!(
        without
            .unwrap_err()
            .into_service_error()
            .is_invalid_ciphertext_exception()
    );
    let other = decrypt("acme").key_id(kms.arn("OtherKey")).send().await;
    assert!(
        other
            .unwrap_err()
            .into_service_error()
            .is_incorrect_key_exception()
    );
    let mut tampered = sealed.clone().into_inner();
    *tampered.last_mut().unwrap() ^= 1;
    let request = client
        .decrypt()
        .ciphertext_blob(Blob::new(tampered))
        .encryption_context("customer", "acme");
    assert_eq!(
        code(request.encryption_context("purpose", "orders").send().await),
        "InvalidCiphertextException"
    );
    let garbage = client
        .decrypt()
        .ciphertext_blob(Blob::new(*b"short"))
        .send()
        .await;
    assert_eq!(code(garbage), "InvalidCiphertextException");
}

#[tokio::test]
async fn a_signature_verifies_with_the_published_key() {
    let (kms, client) = start(&Storage::Memory).await;
    let arn = kms.arn("SigningKey");
    let public = client.get_public_key().key_id(&arn).send().await.unwrap();
    let public = UnparsedPublicKey::new(
        &ECDSA_P256_SHA256_ASN1,
        public.public_key().unwrap().as_ref(),
    );
    let sign = |kind: MessageType, message: &[u8]| {
        let request = client
            .sign()
            .key_id(&arn)
            .message_type(kind)
            .message(Blob::new(message));
        request.signing_algorithm(SigningAlgorithmSpec::EcdsaSha256)
    };
    let raw = sign(MessageType::Raw, b"forgotten").send().await.unwrap();
    public
        .verify(b"forgotten", raw.signature().unwrap().as_ref())
        .unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"forgotten");
    let digested = sign(MessageType::Digest, digest.as_ref())
        .send()
        .await
        .unwrap();
    public
        .verify(b"forgotten", digested.signature().unwrap().as_ref())
        .unwrap();
    public
        .verify(b"remembered", digested.signature().unwrap().as_ref())
        .unwrap_err();
    assert_eq!(
        code(sign(MessageType::Digest, b"short").send().await),
        "ValidationException"
    );
}

#[tokio::test]
async fn keys_that_are_unknown_or_misused_are_refused() {
    let (kms, client) = start(&Storage::Memory).await;
    let described = client
        .describe_key()
        .key_id("alias/data")
        .send()
        .await
        .unwrap();
    assert_eq!(
        described.key_metadata().unwrap().arn(),
        Some(&*kms.arn("DataKey"))
    );
    for unknown in [
        "alias/nobody",
        "11111111-1111-1111-1111-111111111111",
        "arn:aws:kms:us-east-1:000000000000:key/1",
    ] {
        assert_eq!(
            code(client.describe_key().key_id(unknown).send().await),
            "NotFoundException"
        );
    }
    assert_eq!(
        code(client.describe_key().key_id("arn:aws").send().await),
        "InvalidArnException"
    );
    let elsewhere = kms.arn("DataKey").replace("eu-central-1", "us-east-1");
    assert_eq!(
        code(client.describe_key().key_id(elsewhere).send().await),
        "NotFoundException"
    );
    let misused = client
        .get_public_key()
        .key_id(kms.arn("DataKey"))
        .send()
        .await;
    assert_eq!(code(misused), "InvalidKeyUsageException");
    let misused = client
        .generate_data_key()
        .key_id(kms.arn("SigningKey"))
        .key_spec(DataKeySpec::Aes256);
    assert_eq!(code(misused.send().await), "InvalidKeyUsageException");
    assert_eq!(
        code(client.list_keys().send().await),
        "UnknownOperationException"
    );
    let unsigned = Request::post(kms.endpoint())
        .header("x-amz-target", "TrentService.DescribeKey")
        .body("{}");
    let answer = send(unsigned.unwrap()).await;
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn keys_outlive_a_restart_and_only_their_owner_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::Folder(folder.path().to_owned());
    let (kms, client) = start(&storage).await;
    let sealed = client
        .encrypt()
        .key_id(kms.arn("DataKey"))
        .plaintext(Blob::new("secret"))
        .send()
        .await
        .unwrap();
    let busy = Kms::start(&storage, "eu-central-1", keys())
        .await
        .err()
        .unwrap();
    assert!(matches!(busy, EngineError::Busy(_)), "{busy}");
    drop((kms, client));

    let (kms, client) = start(&storage).await;
    let opened = client
        .decrypt()
        .ciphertext_blob(sealed.ciphertext_blob.unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(opened.plaintext().unwrap().as_ref(), b"secret");
    drop(kms);
    let file = folder.path().join("kms.json");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    std::fs::write(&file, "{").unwrap();
    let damaged = Kms::start(&storage, "eu-central-1", keys())
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        damaged.contains("kms.json") && !damaged.contains('\n'),
        "{damaged}"
    );
}
