//! The Merkle tree hash of RFC 6962 (2.1) under SHA-256: one hash for a whole list. The tree
//! grows leaf by leaf and stores only what the next leaf needs. Pure: knows nothing about the
//! contents of the leaves.

use aws_lc_rs::digest::{Context, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde::{Deserialize, Serialize};

/// Bytes of a hash.
pub const LENGTH: usize = 32;

/// The hash of a leaf, of a subtree, or of the whole tree. As text it is base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash([u8; LENGTH]);

impl Hash {
    /// The hash of a leaf whose content is the concatenation of `parts`.
    pub fn leaf(parts: &[&[u8]]) -> Hash {
        // The first byte distinguishes a leaf from a node.
        Hash::of(0x00, parts)
    }

    fn node(left: Hash, right: Hash) -> Hash {
        Hash::of(0x01, &[&left.0, &right.0])
    }

    fn of(kind: u8, parts: &[&[u8]]) -> Hash {
        let mut context = Context::new(&SHA256);
        context.update(&[kind]);
        parts.iter().for_each(|part| context.update(part));
        Hash::from_bytes(context.finish().as_ref()).expect("SHA-256 has 32 bytes")
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Hash> {
        bytes.try_into().ok().map(Hash)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn parse(text: &str) -> Option<Hash> {
        Hash::from_bytes(&BASE64URL.decode(text).ok()?)
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&BASE64URL.encode(self.0))
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> String {
        hash.to_string()
    }
}

impl TryFrom<String> for Hash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Hash, Self::Error> {
        Hash::parse(&text).ok_or("not a hash")
    }
}

/// A growing tree. It stores the roots of its perfect subtrees, one for each bit of its size,
/// so at most 64. It can be serialised and extended later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Tree {
    size: u64,
    /// Largest first.
    peaks: Vec<Hash>,
}

#[derive(Deserialize)]
struct Stored {
    size: u64,
    peaks: Vec<Hash>,
}

impl TryFrom<Stored> for Tree {
    type Error = &'static str;

    fn try_from(Stored { size, peaks }: Stored) -> Result<Tree, Self::Error> {
        match peaks.len() == size.count_ones() as usize {
            true => Ok(Tree { size, peaks }),
            false => Err("not a tree of this size"),
        }
    }
}

impl Tree {
    pub fn push(&mut self, leaf: Hash) {
        self.size += 1;
        let mut joined = leaf;
        // Two trees of the same size merge, as a carry does.
        for _ in 0..self.size.trailing_zeros() {
            if let Some(left) = self.peaks.pop() {
                joined = Hash::node(left, joined);
            }
        }
        self.peaks.push(joined);
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root hash of the current list.
    pub fn root(&self) -> Hash {
        let peaks = self.peaks.iter().rev().copied();
        peaks
            .reduce(|right, left| Hash::node(left, right))
            .unwrap_or_else(|| {
                let empty = digest(&SHA256, &[]);
                Hash::from_bytes(empty.as_ref()).expect("SHA-256 has 32 bytes")
            })
    }
}

impl FromIterator<Hash> for Tree {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaves: I) -> Tree {
        let mut tree = Tree::default();
        leaves.into_iter().for_each(|leaf| tree.push(leaf));
        tree
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(hash: Hash) -> String {
        hash.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The definition of RFC 6962, 2.1, verbatim.
    fn defined(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Tree::default().root(),
            [leaf] => *leaf,
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                Hash::node(defined(&leaves[..k]), defined(&leaves[k..]))
            }
        }
    }

    #[test]
    fn roots_are_those_of_certificate_transparency() {
        // The test vectors of the reference implementation.
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let root = |size| {
            let leaves = leaves.iter().take(size);
            hex(leaves
                .map(|leaf| Hash::leaf(&[leaf]))
                .collect::<Tree>()
                .root())
        };
        for (size, expected) in [
            (
                0,
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            (
                1,
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            ),
            (
                2,
                "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            ),
            (
                7,
                "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            ),
            (
                8,
                "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
            ),
        ] {
            assert_eq!(root(size), expected, "{size}");
        }
    }

    proptest! {
        #[test]
        fn a_tree_that_grew_is_the_tree_as_defined(size in 0_usize..200, stop in 0_usize..200) {
            let leaves: Vec<_> = (0..size).map(|n| Hash::leaf(&[&n.to_be_bytes()])).collect();
            let mut tree = Tree::default();
            for (at, leaf) in leaves.iter().enumerate() {
                if at == stop {
                    // Serialised, then extended.
                    let stored = serde_json::to_string(&tree).unwrap();
                    tree = serde_json::from_str(&stored).unwrap();
                }
                tree.push(*leaf);
            }
            prop_assert_eq!(tree.size(), size as u64);
            prop_assert!(tree.peaks.len() <= 8);
            prop_assert_eq!(tree.root(), defined(&leaves));
        }

        #[test]
        fn any_change_of_the_list_changes_the_root(size in 1_usize..60, at in 0_usize..60) {
            let leaves: Vec<_> = (0..size).map(|n| Hash::leaf(&[&n.to_be_bytes()])).collect();
            let root = |leaves: &[Hash]| leaves.iter().copied().collect::<Tree>().root();
            let at = at % size;
            let mut changed = leaves.clone();
            changed[at] = Hash::leaf(&[b"other"]);
            prop_assert_ne!(root(&changed), root(&leaves));
            changed.remove(at);
            prop_assert_ne!(root(&changed), root(&leaves));
            let mut swapped = leaves.clone();
            swapped.swap(0, at);
            prop_assert_eq!(root(&swapped) == root(&leaves), at == 0);
        }
    }

    #[test]
    fn what_is_no_tree_is_not_gone_on_with() {
        for text in [r#"{"size":1,"peaks":[]}"#, r#"{"size":1,"peaks":["AA"]}"#] {
            assert!(serde_json::from_str::<Tree>(text).is_err(), "{text}");
        }
    }
}
