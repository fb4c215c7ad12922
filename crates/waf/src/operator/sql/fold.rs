//! Tokens that change nothing of what a statement is are folded away.
//!
//! The rules and their order are libinjection's: another order makes other fingerprints.

use super::lexer::Lexer;
use super::merge::{is_also_function, merge, starts_with_if};
use super::token::{Kind, Token};

/// Tokens of a fingerprint.
const TOKENS: usize = 5;
/// Tokens at hand at once, a power of two.
const PLACES: usize = 8;

/// What is left of a value's tokens.
#[derive(Debug)]
pub(super) struct Fold {
    tokens: [Token; PLACES],
    length: usize,
    /// How many there were before.
    pub(super) count: usize,
}

impl Fold {
    pub(super) fn tokens(&self) -> &[Token] {
        self.tokens.get(..self.length).unwrap_or_default()
    }
}

pub(super) fn fold(lexer: &mut Lexer<'_>) -> Fold {
    let mut folding = Folding {
        lexer,
        tokens: [Token::NONE; PLACES],
        length: 0,
        left: 0,
        count: 0,
        comment: None,
        is_at_end: false,
    };
    folding.run();
    Fold { tokens: folding.tokens, length: folding.length, count: folding.count }
}

struct Folding<'l, 'a> {
    lexer: &'l mut Lexer<'a>,
    tokens: [Token; PLACES],
    /// Where the next token goes.
    length: usize,
    /// Tokens before this one are done with.
    left: usize,
    count: usize,
    /// The last token, if it is a comment.
    comment: Option<Token>,
    is_at_end: bool,
}

/// What a rule did.
enum Done {
    /// It folded something: rules are tried again.
    Again,
    /// Nothing that ends the round.
    Nothing,
    /// Nothing that follows matters.
    All,
}

impl Folding<'_, '_> {
    fn run(&mut self) {
        if !self.begin() {
            return;
        }
        loop {
            self.shorten();
            if self.is_at_end || self.left >= TOKENS {
                break;
            }
            self.take(2);
            if self.length < self.left + 2 {
                self.left = self.length;
                continue;
            }
            match self.fold_two() {
                Done::Again => continue,
                Done::Nothing => {}
                Done::All => return,
            }
            self.take(3);
            if self.length < self.left + 3 {
                self.left = self.length;
                continue;
            }
            if !self.fold_three() {
                self.left += 1;
            }
        }
        self.end();
    }

    /// Skips what may stand before every expression; false if there is nothing else.
    fn begin(&mut self) -> bool {
        while let Some(token) = self.lexer.next() {
            self.count += 1;
            let is_before =
                matches!(token.kind, Kind::Comment | Kind::LeftParenthesis | Kind::Type);
            if !is_before && !token.is_unary() {
                self.tokens[0] = token;
                self.length = 1;
                return true;
            }
        }
        false
    }

    fn end(&mut self) {
        // A sixth token only told what the fifth is.
        self.length = self.length.min(TOKENS);
        if self.length > 2 {
            let last = self.at(self.length - 1);
            // PHP and MySQL: a backquote that opens nothing hides the rest.
            if last.kind == Kind::Bareword
                && last.open == b'`'
                && last.close == 0
                && last.text().is_empty()
            {
                self.at(self.length - 1).kind = Kind::Comment;
            }
        }
        if self.length < TOKENS
            && let Some(comment) = self.comment
        {
            *self.at(self.length) = comment;
            self.length += 1;
        }
    }

    fn at(&mut self, place: usize) -> &mut Token {
        &mut self.tokens[place % PLACES]
    }

    fn kind(&self, offset: usize) -> Kind {
        self.token(offset).kind
    }

    fn token(&self, offset: usize) -> &Token {
        &self.tokens[(self.left + offset) % PLACES]
    }

    /// Fetches tokens until so many are not done with.
    fn take(&mut self, wanted: usize) {
        while !self.is_at_end && self.length <= TOKENS && self.length < self.left + wanted {
            let Some(token) = self.lexer.next() else {
                self.is_at_end = true;
                return;
            };
            self.count += 1;
            if token.kind == Kind::Comment {
                self.comment = Some(token);
                continue;
            }
            self.comment = None;
            *self.at(self.length) = token;
            self.length += 1;
        }
    }

    /// Rows of five that say no more than their start does.
    fn shorten(&mut self) {
        use Kind::{Bareword, Comma, LeftParenthesis, Number, Operator, RightParenthesis};
        if self.length < TOKENS {
            return;
        }
        let [a, b, c, d, e, sixth, ..] = self.tokens;
        let is_row = matches!(
            (a.kind, b.kind, c.kind, d.kind, e.kind),
            (Number, Operator | Comma, LeftParenthesis, Number, RightParenthesis)
                | (Bareword, Operator, LeftParenthesis, Bareword | Number, RightParenthesis)
                | (Number, RightParenthesis, Comma, LeftParenthesis, Number)
                | (Bareword, RightParenthesis, Operator, LeftParenthesis, Bareword)
        );
        if !is_row {
            return;
        }
        if self.length > TOKENS {
            self.tokens[1] = sixth;
            self.length = 2;
        } else {
            self.length = 1;
        }
        self.left = 0;
    }

    /// Drops so many tokens, and tries all rules from the start.
    fn drop_last(&mut self, tokens: usize) -> Done {
        self.length = self.length.saturating_sub(tokens);
        self.left = 0;
        Done::Again
    }

    /// The same, and goes back by one token.
    fn step_back(&mut self) -> Done {
        self.length = self.length.saturating_sub(1);
        self.left = self.left.saturating_sub(1);
        Done::Again
    }

    fn fold_two(&mut self) -> Done {
        let (first, second) = (*self.token(0), *self.token(1));
        match (first.kind, second.kind) {
            (Kind::String, Kind::String) | (Kind::Semicolon, Kind::Semicolon) => {
                self.length -= 1;
                return Done::Again;
            }
            (Kind::Operator | Kind::Logic, kind) if kind == Kind::Type || second.is_unary() => {
                return self.drop_last(1);
            }
            (Kind::LeftParenthesis, _) if second.is_unary() => return self.step_back(),
            _ => {}
        }
        if let Some(merged) = merge(&first, &second) {
            *self.at(self.left) = merged;
            return self.step_back();
        }
        self.fold_words(&first, &second)
    }

    /// Words that are what they are by what follows them.
    fn fold_words(&mut self, first: &Token, second: &Token) -> Done {
        let is_called = second.kind == Kind::LeftParenthesis;
        match first.kind {
            // Elsewhere a function; here Transact-SQL's condition.
            Kind::Semicolon if second.kind == Kind::Function && starts_with_if(second) => {
                self.at(self.left + 1).kind = Kind::TransactSql;
            }
            Kind::Bareword | Kind::Variable if is_called && is_also_function(first) => {
                self.at(self.left).kind = Kind::Function;
            }
            Kind::Keyword if first.is_word("IN") || first.is_word("NOT IN") => {
                let kind = if is_called { Kind::Operator } else { Kind::Bareword };
                self.at(self.left).kind = kind;
            }
            Kind::Operator if first.is_word("LIKE") || first.is_word("NOT LIKE") => {
                if is_called {
                    self.at(self.left).kind = Kind::Function;
                }
                return Done::Nothing;
            }
            _ => return self.fold_signs(first, second),
        }
        Done::Again
    }

    fn fold_signs(&mut self, first: &Token, second: &Token) -> Done {
        use Kind::{Bareword, Collate, Function, LeftParenthesis, Number, String, Type, Variable};
        match (first.kind, second.kind) {
            (Type, Bareword | Number | Type | LeftParenthesis | Function | Variable | String) => {
                *self.at(self.left) = *second;
                self.drop_last(1)
            }
            (Collate, Bareword) => {
                let is_type = std::str::from_utf8(second.text()).is_ok_and(|it| it.contains('_'));
                if is_type {
                    self.at(self.left + 1).kind = Type;
                    self.left = 0;
                }
                Done::Nothing
            }
            (Kind::Backslash, _) if second.is_arithmetic() => {
                // Transact-SQL reads `\%1` as `0 % 1`.
                self.at(self.left).kind = Number;
                self.drop_last(0)
            }
            (Kind::Backslash, _) => {
                *self.at(self.left) = *second;
                self.drop_last(1)
            }
            (LeftParenthesis, LeftParenthesis)
            | (Kind::RightParenthesis, Kind::RightParenthesis) => self.drop_last(1),
            (Kind::LeftBrace, Bareword) if second.text().is_empty() => {
                // MySQL knows {``.``.id}; nothing honest does.
                self.at(self.left + 1).kind = Kind::Evil;
                self.length = self.left + 2;
                Done::All
            }
            // ODBC's {word expression}.
            (Kind::LeftBrace, Bareword) => self.drop_last(2),
            (_, Kind::RightBrace) => self.drop_last(1),
            _ => Done::Nothing,
        }
    }

    /// Whether three tokens were folded.
    fn fold_three(&mut self) -> bool {
        use Kind::{Bareword, Comma, Dot, Expression, Logic, Number, Operator, String, Variable};
        let third = *self.token(2);
        match (self.kind(0), self.kind(1), third.kind) {
            (Number, Operator, Number)
            | (Logic, _, Logic)
            | (Variable, Operator, Variable | Number | Bareword)
            | (Bareword | Number, Operator, Number | Bareword)
            | (
                Bareword | Number | String | Variable,
                Comma,
                Number | Bareword | String | Variable,
            )
            | (Bareword, Dot, Bareword) => {
                self.drop_last(2);
            }
            (Operator, middle, Operator) if middle != Kind::LeftParenthesis => {
                self.drop_last(2);
            }
            // PostgreSQL's cast.
            (Bareword | Number | Variable | String, Operator, Kind::Type)
                if self.token(1).text() == b"::" =>
            {
                self.drop_last(2);
            }
            (Expression, Dot, Bareword) => {
                *self.at(self.left + 1) = third;
                self.drop_last(1);
            }
            _ => return self.fold_unary(&third),
        }
        true
    }

    /// An operator of one operand changes nothing of what a statement is.
    fn fold_unary(&mut self, third: &Token) -> bool {
        use Kind::{Bareword, Comma, Expression, Function, Group, Keyword, LeftParenthesis};
        let is_value =
            matches!(third.kind, Kind::Number | Bareword | Kind::Variable | Kind::String);
        let first = self.kind(0);
        let dropped = match (first, third.kind) {
            _ if !self.token(1).is_unary() => 0,
            (Expression | Group | Comma, LeftParenthesis) => 1,
            (Keyword | Expression | Group, Function) | (Comma, Function) => 1,
            (Keyword | Expression | Group, _) if is_value => 1,
            // `1,-1` is `1,1`, which folds further: one more goes.
            (Comma, _) if is_value => 3,
            _ => 0,
        };
        if dropped > 0 {
            *self.at(self.left + 1) = *third;
            self.drop_last(dropped);
            return true;
        }
        // It takes no argument: one with an argument is another.
        if first == Function
            && self.kind(1) == LeftParenthesis
            && third.kind != Kind::RightParenthesis
            && self.token(0).is_word("USER")
        {
            self.at(self.left).kind = Bareword;
        }
        false
    }
}
