//! Listings, in pages and in S3's order: by key, then the newest version first.

use std::ops::Bound;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use s3s::dto::*;
use s3s::{S3Result, s3_error};

use super::service::timestamp;
use super::store::{self, Bucket};

/// The largest page.
const MAX_PAGE: i32 = 1000;

fn page_size(asked: Option<i32>) -> (i32, usize) {
    let size = asked.unwrap_or(MAX_PAGE).clamp(0, MAX_PAGE);
    (size, size as usize)
}

/// Keys in the encoding that the caller asks for: unchanged, or URL-encoded.
struct Keys(bool);

impl Keys {
    fn new(asked: &Option<EncodingType>) -> Keys {
        Keys(
            asked
                .as_ref()
                .is_some_and(|encoding| encoding.as_str() == EncodingType::URL),
        )
    }

    fn show(&self, key: &str) -> Option<String> {
        let encoded = || {
            url::form_urlencoded::byte_serialize(key.as_bytes())
                .collect::<String>()
                .replace("%2F", "/")
        };
        Some(if self.0 { encoded() } else { key.to_owned() })
    }
}

pub(super) fn objects(bucket: &Bucket, input: ListObjectsV2Input) -> ListObjectsV2Output {
    let keys = Keys::new(&input.encoding_type);
    let (max_keys, size) = page_size(input.max_keys);
    let prefix = input.prefix.clone().unwrap_or_default();
    let token = input
        .continuation_token
        .as_ref()
        .and_then(|token| BASE64.decode(token).ok());
    let after = token
        .and_then(|token| String::from_utf8(token).ok())
        .or(input.start_after.clone());
    let delimiter = input
        .delimiter
        .clone()
        .filter(|delimiter| !delimiter.is_empty());

    let (mut contents, mut prefixes) = (Vec::new(), Vec::<String>::new());
    // The last key or common prefix on the page, when something follows it.
    let (mut last, mut more) = (String::new(), false);
    let start = after
        .as_ref()
        .map_or(Bound::Unbounded, |after| Bound::Excluded(after.clone()));
    for (key, versions) in bucket.keys.range::<String, _>((start, Bound::Unbounded)) {
        let live = versions
            .last()
            .and_then(|version| Some((version, version.object.as_ref()?)));
        let Some((version, object)) = live.filter(|_| key.starts_with(&prefix)) else {
            continue;
        };
        let rest = &key[prefix.len()..];
        let folded = delimiter
            .as_ref()
            .and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()));
        let shown = &key[..folded.map_or(key.len(), |end| prefix.len() + end)];
        let listed_before = folded.is_some()
            && (prefixes.last().is_some_and(|known| known == shown)
                || after.as_deref() == Some(shown));
        if listed_before {
            continue;
        }
        if contents.len() + prefixes.len() == size {
            more = true;
            break;
        }
        last = shown.to_owned();
        match folded {
            Some(_) => prefixes.push(shown.to_owned()),
            None => contents.push(listed(&keys, version, object)),
        }
    }
    ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: keys.show(&prefix),
        max_keys: Some(max_keys),
        key_count: i32::try_from(contents.len() + prefixes.len()).ok(),
        continuation_token: input.continuation_token,
        is_truncated: Some(more),
        next_continuation_token: more.then(|| BASE64.encode(last)),
        contents: Some(contents),
        common_prefixes: Some(
            prefixes
                .iter()
                .map(|prefix| CommonPrefix {
                    prefix: keys.show(prefix),
                })
                .collect(),
        ),
        delimiter: input.delimiter,
        encoding_type: input.encoding_type,
        start_after: input.start_after,
        request_charged: None,
    }
}

fn listed(keys: &Keys, version: &store::Version, object: &store::Object) -> Object {
    Object {
        key: keys.show(&version.key),
        size: Some(object.size as i64),
        e_tag: Some(ETag::Strong(object.etag.clone())),
        last_modified: Some(timestamp(version.modified)),
        storage_class: Some(ObjectStorageClass::from_static(
            ObjectStorageClass::STANDARD,
        )),
        ..Object::default()
    }
}

pub(super) fn versions(
    bucket: &Bucket,
    input: ListObjectVersionsInput,
) -> S3Result<ListObjectVersionsOutput> {
    if input.delimiter.is_some() {
        return Err(s3_error!(
            NotImplemented,
            "versions are listed without a delimiter here"
        ));
    }
    let keys = Keys::new(&input.encoding_type);
    let (max_keys, size) = page_size(input.max_keys);
    let prefix = input.prefix.clone().unwrap_or_default();
    let key_marker = input.key_marker.clone().filter(|marker| !marker.is_empty());
    let id_marker = input
        .version_id_marker
        .clone()
        .filter(|marker| !marker.is_empty());
    let start = match (&key_marker, &id_marker) {
        (None, Some(_)) => {
            return Err(s3_error!(
                InvalidArgument,
                "A version-id marker cannot be specified without a key marker."
            ));
        }
        (None, None) => Bound::Unbounded,
        (Some(key), None) => Bound::Excluded(key.clone()),
        (Some(key), Some(_)) => Bound::Included(key.clone()),
    };
    let following = bucket.keys.range::<String, _>((start, Bound::Unbounded));
    let matching = following.filter(|(key, _)| key.starts_with(&prefix));
    let mut rows = matching.flat_map(|(key, held)| {
        let latest = held.last().map(|version| version.id.clone());
        // Ids sort by age, so a marker works even when its version is gone.
        let marker = id_marker
            .as_ref()
            .filter(|_| Some(key) == key_marker.as_ref());
        let older = held
            .iter()
            .rev()
            .filter(move |version| marker.is_none_or(|marker| version.id < *marker));
        older.map(move |version| (version, Some(&version.id) == latest.as_ref()))
    });
    let page: Vec<_> = rows.by_ref().take(size).collect();
    let more = rows.next().is_some();
    let last = page.last().filter(|_| more).map(|(version, _)| *version);
    Ok(ListObjectVersionsOutput {
        name: Some(input.bucket),
        prefix: keys.show(&prefix),
        max_keys: Some(max_keys),
        key_marker: input.key_marker,
        version_id_marker: input.version_id_marker,
        is_truncated: Some(more),
        next_key_marker: last.and_then(|version| keys.show(&version.key)),
        next_version_id_marker: last.map(|version| version.id.clone()),
        versions: Some(
            page.iter()
                .filter_map(|row| object_version(&keys, *row))
                .collect(),
        ),
        delete_markers: Some(
            page.iter()
                .filter_map(|row| delete_marker(&keys, *row))
                .collect(),
        ),
        encoding_type: input.encoding_type,
        ..ListObjectVersionsOutput::default()
    })
}

fn object_version(
    keys: &Keys,
    (version, latest): (&store::Version, bool),
) -> Option<ObjectVersion> {
    let object = version.object.as_ref()?;
    Some(ObjectVersion {
        key: keys.show(&version.key),
        version_id: Some(version.id.clone()),
        is_latest: Some(latest),
        size: Some(object.size as i64),
        e_tag: Some(ETag::Strong(object.etag.clone())),
        last_modified: Some(timestamp(version.modified)),
        storage_class: Some(ObjectVersionStorageClass::from_static(
            ObjectVersionStorageClass::STANDARD,
        )),
        ..ObjectVersion::default()
    })
}

fn delete_marker(
    keys: &Keys,
    (version, latest): (&store::Version, bool),
) -> Option<DeleteMarkerEntry> {
    version.object.is_none().then(|| DeleteMarkerEntry {
        key: keys.show(&version.key),
        version_id: Some(version.id.clone()),
        is_latest: Some(latest),
        last_modified: Some(timestamp(version.modified)),
        owner: None,
    })
}

pub(super) fn uploads(
    bucket: &Bucket,
    input: ListMultipartUploadsInput,
) -> S3Result<ListMultipartUploadsOutput> {
    if input.delimiter.is_some() {
        return Err(s3_error!(
            NotImplemented,
            "uploads are listed without a delimiter here"
        ));
    }
    let keys = Keys::new(&input.encoding_type);
    let (max_uploads, size) = page_size(input.max_uploads);
    let prefix = input.prefix.clone().unwrap_or_default();
    let key_marker = input.key_marker.clone().unwrap_or_default();
    // An upload-id marker requires a key marker. A key marker alone skips the whole key.
    let id_marker = input
        .upload_id_marker
        .clone()
        .filter(|marker| !marker.is_empty());
    let following = bucket.uploads.values().filter(|upload| match &id_marker {
        _ if key_marker.is_empty() => true,
        Some(id) => (&upload.key, &upload.id) > (&key_marker, id),
        None => upload.key > key_marker,
    });
    let mut rows = following.filter(|upload| upload.key.starts_with(&prefix));
    let page: Vec<_> = rows.by_ref().take(size).collect();
    let more = rows.next().is_some();
    let last = page.last().filter(|_| more);
    let shown = page.iter().map(|upload| MultipartUpload {
        key: keys.show(&upload.key),
        upload_id: Some(upload.id.clone()),
        initiated: Some(timestamp(upload.begun)),
        ..MultipartUpload::default()
    });
    Ok(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        prefix: keys.show(&prefix),
        max_uploads: Some(max_uploads),
        key_marker: input.key_marker,
        upload_id_marker: input.upload_id_marker,
        is_truncated: Some(more),
        next_key_marker: last.and_then(|upload| keys.show(&upload.key)),
        next_upload_id_marker: last.map(|upload| upload.id.clone()),
        uploads: Some(shown.collect()),
        encoding_type: input.encoding_type,
        ..ListMultipartUploadsOutput::default()
    })
}

pub(super) fn parts(bucket: &Bucket, input: ListPartsInput) -> S3Result<ListPartsOutput> {
    let at = (input.key.clone(), input.upload_id.clone());
    let upload = bucket
        .uploads
        .get(&at)
        .ok_or_else(|| s3_error!(NoSuchUpload))?;
    let (max_parts, size) = page_size(input.max_parts);
    let after = input.part_number_marker.unwrap_or(0).max(0);
    let mut rows = upload
        .parts
        .range((Bound::Excluded(after), Bound::Unbounded));
    let page: Vec<_> = rows.by_ref().take(size).collect();
    let more = rows.next().is_some();
    let shown = page.iter().map(|(number, part)| Part {
        part_number: Some(**number),
        size: Some(part.size as i64),
        e_tag: Some(ETag::Strong(part.etag.clone())),
        last_modified: Some(timestamp(part.modified)),
        ..Part::default()
    });
    Ok(ListPartsOutput {
        parts: Some(shown.collect()),
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        max_parts: Some(max_parts),
        part_number_marker: input.part_number_marker,
        is_truncated: Some(more),
        next_part_number_marker: page.last().filter(|_| more).map(|(number, _)| **number),
        ..ListPartsOutput::default()
    })
}
