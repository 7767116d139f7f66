//! Enums whose variants have names: in rows and keys, in requests and answers.

/// Declares an enum with the name of each variant. The name is also its form in JSON.
///
/// The enum has `ALL`, `NAMES` (each name with its variant), `name()` and `parse()`, which
/// returns `None` for a name that no variant has.
#[macro_export]
macro_rules! named {
    (
        $(#[$meta:meta])*
        $visible:vis enum $Enum:ident {
            $($(#[$variant_meta:meta])* $Variant:ident = $name:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ::serde::Serialize, ::serde::Deserialize)]
        $visible enum $Enum {
            $($(#[$variant_meta])* #[serde(rename = $name)] $Variant,)+
        }

        #[allow(dead_code, reason = "not every enum needs all of them")]
        impl $Enum {
            $visible const ALL: [$Enum; [$($name),+].len()] = [$($Enum::$Variant),+];

            $visible const NAMES: [(&'static str, $Enum); [$($name),+].len()] =
                [$(($name, $Enum::$Variant)),+];

            $visible const fn name(self) -> &'static str {
                match self {
                    $($Enum::$Variant => $name,)+
                }
            }

            $visible fn parse(name: &str) -> Option<$Enum> {
                match name {
                    $($name => Some($Enum::$Variant),)+
                    _ => None,
                }
            }
        }

        impl $crate::base::named::schemars::JsonSchema for $Enum {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($Enum).into()
            }

            fn json_schema(_: &mut $crate::base::named::schemars::SchemaGenerator) -> $crate::base::named::schemars::Schema {
                $crate::base::named::schemars::json_schema!({"type": "string", "enum": [$($name),+]})
            }
        }
    };
}

pub use named;
pub use schemars;

#[cfg(test)]
mod tests {
    named! {
        enum Colour {
            Red = "red",
            DarkBlue = "blue.dark",
        }
    }

    #[test]
    fn a_variant_has_one_name_everywhere() {
        for (name, colour) in Colour::NAMES {
            assert_eq!(colour.name(), name);
            assert_eq!(Colour::parse(name), Some(colour));
            let json = serde_json::to_value(colour).unwrap();
            assert_eq!(json, name);
            assert_eq!(serde_json::from_value::<Colour>(json).unwrap(), colour);
        }
        assert_eq!(Colour::parse("DarkBlue"), None);
        assert_eq!(Colour::ALL, [Colour::Red, Colour::DarkBlue]);
    }
}
