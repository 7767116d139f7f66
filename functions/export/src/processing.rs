//! The information on processing to which a person has a right (GDPR Art. 15(1)). Fields and
//! sources come from the catalog; the text of each category is defined here, and a new
//! category does not compile without one.

use serde::Serialize;
use shared::schema::catalog::{Category, FIELDS, Field, Record};

/// The information on one category.
#[derive(Debug, Serialize)]
pub struct Processing {
    pub category: &'static str,
    pub fields: Vec<&'static str>,
    /// Art. 15(1)(a).
    pub purpose: &'static str,
    /// Art. 15(1)(c).
    pub recipients: &'static str,
    /// Art. 15(1)(d).
    pub retention: String,
    /// Art. 15(1)(g).
    pub sources: Vec<&'static str>,
}

pub const RECIPIENTS: &str = "The company whose service you used, and the people who work for it. Lethe stores \
     the data for that company as its processor, on Amazon Web Services, and does not share it with anyone else.";

/// Every category, with the tenant's retention.
pub fn of_every_category(retention_days: u8) -> Vec<Processing> {
    Category::ALL
        .into_iter()
        .map(|category| processing(category, retention_days))
        .collect()
}

fn processing(category: Category, retention_days: u8) -> Processing {
    let of = || {
        FIELDS
            .iter()
            .filter(move |field| field.category == category)
    };
    let mut sources: Vec<_> = of().map(source).collect();
    sources.sort_unstable();
    sources.dedup();
    let retention = format!(
        "Until {retention_days} {} after you were last seen, or until you ask for erasure, \
         whichever comes first.",
        if retention_days == 1 { "day" } else { "days" }
    );
    Processing {
        category: category.name(),
        fields: of().map(|field| field.name).collect(),
        purpose: purpose(category),
        recipients: RECIPIENTS,
        retention,
        sources,
    }
}

const fn purpose(category: Category) -> &'static str {
    match category {
        Category::Identity => "To identify you when your questions are answered.",
        Category::Contact => "To send you an answer, and to find the data stored about you.",
        Category::Network => {
            "To provide the connection, to prevent misuse, and to see the page where you asked \
             for help."
        }
        Category::Device => "To help with problems that are specific to your browser or device.",
        Category::Content => {
            "To answer your questions, and to have the conversation available while it continues."
        }
        Category::Custom => "Details that the company records to help you, such as your plan.",
        Category::Usage => "To learn which help content was shown, and whether it was useful.",
    }
}

const fn source(field: &Field) -> &'static str {
    if field.given {
        return "you, or the company whose service you used";
    }
    match field.record {
        Record::Visit | Record::Interaction => "observed while you used the service",
        Record::Person | Record::Conversation | Record::Message | Record::Attachment => {
            "assigned by the company's systems"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_told_of_once_with_its_source() {
        let all = of_every_category(30);
        assert_eq!(
            all.iter().map(|it| it.fields.len()).sum::<usize>(),
            FIELDS.len()
        );
        assert!(all.iter().all(|it| !it.sources.is_empty()));
        let network = all.iter().find(|it| it.category == "network").unwrap();
        assert_eq!(network.sources, ["observed while you used the service"]);
    }
}
