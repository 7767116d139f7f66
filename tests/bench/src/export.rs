//! A gibibyte of attachments, exported by the function's own program, against a bare copy
//! of the same objects through the SDK.

use std::path::Path;
use std::time::Instant;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, ServerSideEncryption};
use jiff::SignedDuration;
use lethe_tests::Service;
use local::Options;
use shared::base::clock::Clock;

use crate::bare;
use crate::process::Process;
use crate::stage::{self, turn};
use crate::table::{Line, show};

const MIB: usize = 1024 * 1024;
/// The largest file that may be announced.
const FILE: usize = 25 * MIB;
/// What the export sends at once too.
const PART: usize = 8 * MIB;
/// When links are no longer open.
const LINKS: SignedDuration = SignedDuration::from_mins(11);

pub async fn lines(bootstraps: &Path, quick: bool) -> Result<Vec<Line>, String> {
    let files = if quick { 4 } else { 41 };
    let bootstrap = stage::bootstrap(bootstraps, "export")?;
    let clock = Clock::system();
    // A person may have 20 links open at a time, each for ten minutes: what is uploaded has
    // been by now, since the function's own program goes by the machine's clock.
    clock.advance(-LINKS * i32::try_from(files / 20 + 1).expect("few files"));
    let service = Service::like(Options {
        clock,
        ttl: false,
        schedules: false,
        events: false,
        ..Options::default()
    })
    .await;
    let who = service.visit("ada").await;
    upload(&service, files).await;
    let bytes = files * FILE;

    let client = s3(&service);
    let began = Instant::now();
    copy(&client, &service, &who).await;
    let copied = began.elapsed();

    let environment = service
        .cloud
        .environment("export")
        .expect("it has the function");
    let (mut process, _) = Process::start(&[&bootstrap], environment).await?;
    let owner = &service.ours.owner;
    let body = serde_json::json!({"subject": who});
    let job = service.post("/v1/exports", owner, body).await.expect(202);
    let id = job["id"].as_str().expect("an id");
    let (_, took) = process
        .invoke(turn(&service.ours.id, "export", id, 1))
        .await?;
    let used = process.end()?;
    let job = service
        .get(&format!("/v1/exports/{id}"), owner)
        .await
        .expect(200);
    if job["state"] != "completed" {
        return Err(format!("the export did not complete: {job}"));
    }
    let speed = |time: std::time::Duration| bytes as f64 / MIB as f64 / time.as_secs_f64();
    let peak = used.peak as f64 / MIB as f64;
    Ok(vec![
        Line::new(format!("export of {} MiB of attachments", bytes / MIB))
            .ours(format!(
                "{:.0} MiB/s ({}), {peak:.0} MiB at its peak",
                speed(took),
                show(took)
            ))
            .reference(format!("{:.0} MiB/s: bare copy", speed(copied)))
            .at_least(speed(took) / speed(copied), 0.5, "×")
            .and(peak <= 96.0, "≤ 96 MiB"),
    ])
}

/// Files that look like nothing in particular, and so cannot be made smaller.
async fn upload(service: &Service, files: usize) {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for n in 0..files {
        let mut body = b"GIF89a".to_vec();
        while body.len() < FILE {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            body.extend_from_slice(&seed.to_le_bytes());
        }
        body.truncate(FILE);
        service
            .upload("ada", &format!("{n}.gif"), "image/gif", &body)
            .await;
        if n % 20 == 19 || n + 1 == files {
            service.cloud.clock().advance(LINKS);
        }
    }
}

fn s3(service: &Service) -> Client {
    let cloud = &service.cloud;
    let config = aws_sdk_s3::config::Builder::from(&bare::sdk(cloud));
    let config = config
        .endpoint_url(cloud.objects().endpoint())
        .force_path_style(true);
    Client::from_conf(config.build())
}

/// Reads every file of a person and writes all of it to one object, part by part.
async fn copy(client: &Client, service: &Service, who: &str) {
    let bucket = &service.cloud.app().config.bucket;
    let prefix = format!("attachments/{}/{who}/", service.ours.id);
    let list = client.list_object_versions().bucket(bucket).prefix(&prefix);
    let listed = list.send().await.expect("ListObjectVersions");
    let keys: Vec<_> = listed.versions().iter().filter_map(|it| it.key()).collect();
    assert!(!keys.is_empty(), "no files");
    let to = format!("exports/{}/copy", service.ours.id);
    let begin = client.create_multipart_upload().bucket(bucket).key(&to);
    let begin = begin
        .server_side_encryption(ServerSideEncryption::AwsKms)
        .ssekms_key_id(&service.cloud.app().config.key);
    let begun = begin.send().await.expect("CreateMultipartUpload");
    let upload = begun.upload_id().expect("an upload");
    let (mut part, mut parts) = (Vec::with_capacity(PART), Vec::new());
    for key in keys {
        let got = client.get_object().bucket(bucket).key(key).send().await;
        let mut body = got.expect("GetObject").body;
        while let Some(chunk) = body.try_next().await.expect("a body") {
            part.extend_from_slice(&chunk);
            if part.len() >= PART {
                let full = std::mem::replace(&mut part, Vec::with_capacity(PART));
                send(client, bucket, &to, upload, full, &mut parts).await;
            }
        }
    }
    send(client, bucket, &to, upload, part, &mut parts).await;
    let all = CompletedMultipartUpload::builder()
        .set_parts(Some(parts))
        .build();
    let end = client.complete_multipart_upload().bucket(bucket).key(&to);
    let end = end.upload_id(upload).multipart_upload(all);
    end.send().await.expect("CompleteMultipartUpload");
}

async fn send(
    client: &Client,
    bucket: &str,
    key: &str,
    upload: &str,
    part: Vec<u8>,
    parts: &mut Vec<CompletedPart>,
) {
    let number = i32::try_from(parts.len() + 1).expect("few parts");
    let call = client
        .upload_part()
        .bucket(bucket)
        .key(key)
        .upload_id(upload);
    let call = call.part_number(number).body(ByteStream::from(part));
    let sent = call.send().await.expect("UploadPart");
    let done = CompletedPart::builder().part_number(number);
    parts.push(
        done.set_e_tag(sent.e_tag)
            .set_checksum_crc32(sent.checksum_crc32)
            .build(),
    );
}
