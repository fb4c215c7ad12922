use super::*;
use crate::body::fixture::{Dice, check_linear};

#[track_caller]
fn check(document: impl AsRef<[u8]>, text: &str, attributes: &[&str]) {
    let document = document.as_ref();
    let xml = read(document, &Limits::default());
    let attributes = attributes.iter().map(|value| value.as_bytes().to_vec()).collect();
    let expected = Xml { text: text.as_bytes().to_vec(), attributes, fault: None };
    assert_eq!(xml, expected, "{}", document.escape_ascii());
}

#[track_caller]
fn check_fault(document: impl AsRef<[u8]>, fault: XmlError) {
    let document = document.as_ref();
    let xml = read(document, &Limits::default());
    assert_eq!(xml.fault, Some(fault), "{}", document.escape_ascii());
}

#[test]
fn reads_text_and_attributes() {
    check("<a/>", "", &[]);
    check(
        "<?xml version=\"1.0\"?><a><b x='1' y=\"2\">t</b>\n u<c z=''/></a>",
        "t\n u",
        &["1", "2", ""],
    );
    check(
        "<?xml version=\"1.0\"?>\n<!-- c --><?p i?><a>1<!-- <b> -->2<?p <b> ?>3</a><?q?>\n<!---->",
        "123",
        &[],
    );
    check("<s:a xmlns:s='urn:x' xmlns=\"u\" s:b='1' >\u{e9}</s:a >", "\u{e9}", &["1"]);
    check("<a\n\tb = '1'\r\nc='2'/>", "", &["1", "2"]);
    check("<\u{e9}.-1_:x/>", "", &[]);
    check("", "", &[]);
}

#[test]
fn resolves_references_once_and_never_in_cdata() {
    check("<a b='&lt;&#x27;&#39;&quot;'>&amp;lt;&gt;&apos;</a>", "&lt;>'", &["<''\""]);
    check("<a>&#x1F600;&#0065;&#10;</a>", "\u{1f600}A\n", &[]);
    check("<a><![CDATA[<b>&lt;]]]]><![CDATA[>]]></a>", "<b>&lt;]]>", &[]);
    for reference in ["&", "&;", "&x;", "&amp", "&LT;", "&#;", "&#x;", "&#xg;", "&#0;", "&#xD800;"]
    {
        check_fault(format!("<a>{reference}</a>"), XmlError::Reference);
        check_fault(format!("<a b='{reference}'/>"), XmlError::Reference);
        check_fault(format!("<a xmlns='{reference}'/>"), XmlError::Reference);
    }
    for reference in ["&#1;", "&#xFFFF;", "&#x110000;", "&#99999999999;", "&# 65;", "&#+65;"] {
        check_fault(format!("<a>{reference}</a>"), XmlError::Reference);
    }
}

#[test]
fn white_space_is_normalized_as_xml_has_it() {
    check("<a>1\r\n2\r3\n\r4</a>", "1\n2\n3\n\n4", &[]);
    check("<a b='1\r\n2\t3&#10;'/>", "", &["1 2 3\n"]);
}

#[test]
fn entities_are_never_declared() {
    check("<!DOCTYPE a><a>1</a>", "1", &[]);
    for document in [
        "<!DOCTYPE a PUBLIC '-//x>' \"http://x/['\" ><a/>",
        "<!DOCTYPE a SYSTEM \"x'>\"><a/>",
        "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
        "<!DOCTYPE a SYSTEM 'http://x' []><a/>",
        "<!DOCTYPE a[]><a/>",
    ] {
        check_fault(document, XmlError::DocumentType);
    }
    for document in [
        "<!DOCTYPEa><a/>",
        "<!DOCTYPE a <a/>",
        "<!DOCTYPE a b><a/>",
        "<!DOCTYPE a SYSTEM><a/>",
        "<!DOCTYPE a SYSTEM'x'><a/>",
        "<!DOCTYPE a PUBLIC 'x'><a/>",
        "<!DOCTYPE a SYSTEM 'x' 'y'><a/>",
    ] {
        check_fault(document, XmlError::InvalidDocumentType);
    }
    check_fault("<!DOCTYPE a><!DOCTYPE a><a/>", XmlError::LateDocumentType);
    check_fault("<a/><!DOCTYPE a>", XmlError::LateDocumentType);
    check_fault("<a><!DOCTYPE a></a>", XmlError::LateDocumentType);
    check_fault("<!DOCTYPE a SYSTEM 'x", XmlError::Cut);
}

#[test]
fn refuses_what_is_not_well_formed() {
    use XmlError as E;
    for (document, fault) in [
        (" ", E::NoElement),
        ("<!-- a -->", E::NoElement),
        ("a", E::Outside),
        ("<a/>b", E::Outside),
        ("<a/><b/>", E::Outside),
        ("&lt;a/>", E::Outside),
        ("<![CDATA[x]]><a/>", E::Cdata),
        ("<a>]]></a>", E::Cdata),
        ("<a>", E::Cut),
        ("<a", E::Cut),
        ("<a b", E::Cut),
        ("<a b='1", E::Cut),
        ("<a/", E::Cut),
        ("<a><b></b>", E::Cut),
        ("<a></", E::Cut),
        ("<a><![CDATA[x", E::Cut),
        ("<a><!-- x", E::Cut),
        ("<a><?x", E::Cut),
        ("<a></b>", E::Mismatched),
        ("<a></A>", E::Mismatched),
        ("<a><b></a></b>", E::Mismatched),
        ("<a/></a>", E::Mismatched),
        ("</a>", E::Mismatched),
        ("<a></a b>", E::Tag),
        ("<a / >", E::Tag),
        ("<a b='1'c='2'/>", E::Tag),
        ("<a b=1/>", E::Attribute),
        ("<a b/>", E::Attribute),
        ("<a b='<'/>", E::Attribute),
        ("<a b='1' b='2'/>", E::DuplicateAttribute),
        ("<a b='1' c='2' b='3'/>", E::DuplicateAttribute),
        ("<a ='1'/>", E::Name),
        ("< a/>", E::Name),
        ("<1a/>", E::Name),
        ("<a></ a>", E::Name),
        ("<!ELEMENT a>", E::Name),
        ("<a><!-- -- --></a>", E::Comment),
        ("<a><!-- ---></a>", E::Comment),
        ("<a><?xml x?></a>", E::Instruction),
        (" <?xml version='1.0'?><a/>", E::Instruction),
        ("<a><? x?></a>", E::Name),
    ] {
        check_fault(document, fault);
    }
}

#[test]
fn keeps_what_stands_before_a_fault() {
    for document in
        ["<a b='1'>2</c>3</a>", "<a b='1'>2\x003</a>", "<a b='1'>2&x;3</a>", "<a b='1'>2"]
    {
        let xml = read(document.as_bytes(), &Limits::default());
        assert!(xml.fault.is_some(), "{document}");
        assert_eq!(xml.text, b"2", "{document}");
        assert_eq!(xml.attributes, [b"1"], "{document}");
    }
}

#[test]
fn reads_a_declaration() {
    for declaration in ["version='1.0'", "version = \"1.1\" encoding='UTF-8'  standalone='no' "] {
        check(format!("<?xml {declaration}?><a/>"), "", &[]);
    }
    for declaration in [
        "",
        "encoding='utf-8'",
        "version=1",
        "version='1'",
        "version='1.]'",
        "version='1.0' x='y'",
        "version='1.0'encoding='utf-8'",
        "version='1.0' standalone='y'",
    ] {
        check_fault(format!("<?xml {declaration}?><a/>"), XmlError::Declaration);
    }
    check_fault("<?xml version='1.0'", XmlError::Declaration);
    check("<?xml-stylesheet x?><a/>", "", &[]);
}

#[test]
fn converts_the_encodings_it_knows_and_refuses_others() {
    let document = "<a b='\u{e9}\u{1f600}'>\u{20ac}</a>";
    for unit in [u16::to_le_bytes, u16::to_be_bytes] {
        let encode = |text: &str| text.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
        check(encode(&format!("\u{feff}{document}")), "\u{20ac}", &["\u{e9}\u{1f600}"]);
        let declared = format!("\u{feff}<?xml version='1.0' encoding='UTF-16'?>{document}");
        check(encode(&declared), "\u{20ac}", &["\u{e9}\u{1f600}"]);
        let wrong = "\u{feff}<?xml version='1.0' encoding='UTF-8'?><a/>";
        check_fault(encode(wrong), XmlError::Encoding);
        assert!(read(&encode(document), &Limits::default()).fault.is_some());
        let mut odd = encode("\u{feff}<a/>");
        odd.push(b'x');
        check_fault(odd, XmlError::Encoding);
    }
    check(format!("\u{feff}{document}"), "\u{20ac}", &["\u{e9}\u{1f600}"]);
    for encoding in ["ISO-8859-1", "latin1"] {
        let declared = format!("<?xml version='1.0' encoding='{encoding}'?><a>");
        check([declared.as_bytes(), b"\xe9\x80</a>"].concat(), "\u{e9}\u{80}", &[]);
    }
    for encoding in ["UTF-7", "UTF-16", "UTF-32", "windows-1252", "EBCDIC-CP-US", "Shift_JIS"] {
        let declared = format!("<?xml version='1.0' encoding='{encoding}'?><a/>");
        check_fault(declared, XmlError::Encoding);
    }
    check_fault("\u{feff}<?xml version='1.0' encoding='latin1'?><a/>", XmlError::Encoding);
    check_fault("<?xml version='1.0' encoding='us-ascii'?><a>\u{e9}</a>", XmlError::Encoding);
    check_fault(b"<a>\xe9</a>", XmlError::Encoding);
    check_fault(b"\xff\xfe\0\0<\0\0\0", XmlError::Encoding);
    check_fault(b"\xff\xfe\0\xd8", XmlError::Encoding);
    for character in ["\0", "\x01", "\x1f", "\u{b}", "\u{fffe}", "\u{ffff}"] {
        check_fault(format!("<a>{character}</a>"), XmlError::Character);
        check_fault(format!("<a b='{character}'/>"), XmlError::Character);
    }
}

#[test]
fn limits_are_faults() {
    let limits = Limits { depth: 2, fields: 2, value_bytes: 3, ..Limits::default() };
    for (document, fault) in [
        ("<a><b>123</b></a>", None),
        ("<a><b><c/></b></a>", Some(XmlError::TooDeep)),
        ("<a><b>123</b>4</a>", Some(XmlError::ValueTooLong)),
        ("<a>12<![CDATA[34]]></a>", Some(XmlError::ValueTooLong)),
        ("<a b='123' c='&lt;'/>", None),
        ("<a b='1234'/>", Some(XmlError::ValueTooLong)),
        ("<a b='' c='' d=''/>", Some(XmlError::TooManyAttributes)),
    ] {
        assert_eq!(read(document.as_bytes(), &limits).fault, fault, "{document}");
    }
    let deep = "<a>".repeat(1_000_000);
    check_fault(deep, XmlError::TooDeep);
}

#[test]
fn random_documents_are_safe() {
    let samples: [&[u8]; 4] = [
        b"<?xml version='1.0' encoding='utf-8'?><!DOCTYPE a><a b='1' c=\"&lt;\">x<b/>&#65;</a>",
        b"<a><![CDATA[x]]><!-- c --><?p i?><b>y</b></a>",
        b"\xff\xfe<\0a\0/\0>\0",
        b"<?xml version='1.0' encoding='latin1'?><a>\xe9</a>",
    ];
    let pieces: [&[u8]; 20] = [
        b"<",
        b">",
        b"/",
        b"</",
        b"/>",
        b"<!--",
        b"-->",
        b"<![CDATA[",
        b"]]>",
        b"<?",
        b"?>",
        b"&",
        b";",
        b"&#x",
        b"'",
        b"=",
        b" a='",
        b"<!DOCTYPE",
        b"\xff",
        b"\0",
    ];
    let mut dice = Dice::new();
    let limits = Limits { depth: 3, fields: 3, value_bytes: 6, ..Limits::default() };
    for _ in 0..50_000 {
        let sample = samples[dice.roll(samples.len())];
        let document = dice.mutate(sample, &pieces);
        let xml = read(&document, &Limits::default());
        let kept: usize = xml.attributes.iter().map(Vec::len).sum();
        assert!(kept + xml.text.len() <= 2 * document.len());
        let bounded = read(&document, &limits);
        assert!(bounded.text.len() <= 6 && bounded.attributes.len() <= 3);
    }
}

#[test]
fn time_is_linear() {
    let limits = Limits { depth: usize::MAX, fields: usize::MAX, ..Limits::default() };
    for piece in [
        "<a>",
        "<a/>",
        "</a>",
        "<",
        "&",
        "&amp;",
        "]]",
        "<![CDATA[",
        "<!--",
        "--",
        "<?",
        "<a b='",
        " x=''",
        "<!DOCTYPE",
        "\u{e9}",
        "\r",
        "'",
    ] {
        for start in ["<a>", "<a "] {
            check_linear(&format!("{start}{piece}"), |times| {
                let document = [start, &piece.repeat(times)].concat();
                let xml = read(document.as_bytes(), &limits);
                assert!(xml.text.len() <= document.len());
            });
        }
    }
    check_linear("attributes", |times| {
        let attributes = (0..times / 8).map(|number| format!(" a{number}=''"));
        let document = format!("<a{}/>", attributes.collect::<String>());
        assert_eq!(read(document.as_bytes(), &limits).fault, None);
    });
}
