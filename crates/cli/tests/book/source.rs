//! Structs and enums of settings as the source has them: names, types, documentation.

use std::collections::BTreeMap;

use syn::{Attribute, Expr, Fields, GenericArgument, Item, Lit, Meta, PathArguments, Type};

/// The structs of some source files, by crate and name, and their enums, by name.
#[derive(Default)]
pub struct Source {
    structs: BTreeMap<String, Vec<Field>>,
    enums: BTreeMap<String, Vec<Variant>>,
}

/// A field of a struct.
pub struct Field {
    pub name: String,
    pub doc: String,
    pub kind: Type,
}

/// A value of an enum, as files spell it.
pub struct Variant {
    pub name: String,
    pub doc: String,
}

impl Source {
    /// Adds the types of a file, its path beginning with the folder of its crate.
    pub fn read(&mut self, path: &str) {
        let (of_crate, path) = (path.split('/').next().unwrap(), crate::root().join("crates").join(path));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for item in syn::parse_file(&text).unwrap().items {
            match item {
                Item::Struct(item) => {
                    self.structs.insert(format!("{of_crate}::{}", item.ident), fields(item.fields));
                }
                Item::Enum(item) => {
                    let snake = attribute_text(&item.attrs).contains("snake_case");
                    let variants = item.variants.iter().map(|variant| Variant {
                        name: spelled(&variant.ident.to_string(), if snake { '_' } else { '-' }),
                        doc: doc(&variant.attrs),
                    });
                    self.enums.insert(item.ident.to_string(), variants.collect());
                }
                _ => {}
            }
        }
    }

    /// The fields of a struct, `crate::Name`.
    pub fn fields(&self, name: &str) -> &[Field] {
        self.structs.get(name).unwrap_or_else(|| panic!("no struct {name} in the files that were read"))
    }

    /// The values of an enum.
    pub fn variants(&self, name: &str) -> Option<&[Variant]> {
        self.enums.get(name).map(Vec::as_slice)
    }

    /// A type in words.
    pub fn words(&self, kind: &Type) -> String {
        let Type::Path(path) = kind else { panic!("a setting of an unknown type") };
        let last = path.path.segments.last().unwrap();
        let name = last.ident.to_string();
        match name.as_str() {
            "bool" => "true or false".into(),
            "usize" | "u64" => "integer".into(),
            "f32" | "f64" => "number".into(),
            "PathBuf" => "path".into(),
            "Source" => "path, or list of paths".into(),
            "XcFiles" => "path, or `{ features, labels }`".into(),
            "Vec" => format!("list: {}", self.words(argument(&last.arguments))),
            "Option" => self.words(argument(&last.arguments)),
            _ => match self.variants(&name) {
                Some(variants) => {
                    variants.iter().map(|variant| format!("`\"{}\"`", variant.name)).collect::<Vec<_>>().join(", ")
                }
                None => "table, below".into(),
            },
        }
    }
}

fn argument(arguments: &PathArguments) -> &Type {
    let PathArguments::AngleBracketed(arguments) = arguments else { panic!("a list of what?") };
    let Some(GenericArgument::Type(kind)) = arguments.args.first() else { panic!("a list of what?") };
    kind
}

/// The name of an enum among the types that a field is made of.
pub fn enum_name(kind: &Type) -> Option<String> {
    let Type::Path(path) = kind else { return None };
    let last = path.path.segments.last()?;
    match last.arguments {
        PathArguments::None => Some(last.ident.to_string()),
        _ => enum_name(argument(&last.arguments)),
    }
}

fn fields(fields: Fields) -> Vec<Field> {
    let public = |field: syn::Field| {
        let name = field.ident?.to_string();
        matches!(field.vis, syn::Visibility::Public(_)).then(|| Field { name, doc: doc(&field.attrs), kind: field.ty })
    };
    fields.into_iter().filter_map(public).collect()
}

/// `TfIdf` as `tf-idf`.
fn spelled(name: &str, between: char) -> String {
    let mut spelled = String::new();
    for (at, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && at > 0 {
            spelled.push(between);
        }
        spelled.extend(letter.to_lowercase());
    }
    spelled
}

fn attribute_text(attributes: &[Attribute]) -> String {
    let text = |attribute: &Attribute| match &attribute.meta {
        Meta::List(list) => list.tokens.to_string(),
        _ => String::new(),
    };
    attributes.iter().map(text).collect()
}

/// The documentation in one line, links to code as code.
fn doc(attributes: &[Attribute]) -> String {
    let line = |attribute: &Attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value().trim().to_string()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    let lines: Vec<String> = attributes.iter().filter_map(line).collect();
    let text = lines.join(" ").replace("[`", "`").replace("`]", "`").replace('|', "\\|");
    assert!(!text.contains("`]("), "a link of the documentation that the book cannot follow: {text}");
    text
}
