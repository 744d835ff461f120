//! Numbers computed with each other, and values compared.

use std::cmp::Ordering;

use bigdecimal::{BigDecimal, num_bigint::BigInt};

use crate::{
    function::{Arithmetic, Comparison},
    kind::Kind,
    value::{DIGITS_MAX, Fault, Value},
};

/// How many digits after its point a quotient of decimals has at least before zeros are taken off
/// its end, as in PostgreSQL.
const QUOTIENT_SCALE: i64 = 16;

/// Makes one number of two.
pub(crate) fn compute<'a>(
    arithmetic: Arithmetic,
    one: &Value<'_>,
    other: &Value<'_>,
) -> Result<Value<'a>, Fault> {
    match (one, other) {
        (Value::Int(one), Value::Int(other)) => of_integers(arithmetic, *one, *other),
        (Value::Float(_), _) | (_, Value::Float(_)) => {
            let both = as_float(one).zip(as_float(other));
            let (one, other) = both.ok_or(Fault::Unreadable(Kind::Float))?;
            of_floats(arithmetic, one, other)
        }
        (_, _) => {
            let both = as_decimal(one).zip(as_decimal(other));
            let (one, other) = both.ok_or(Fault::Unreadable(Kind::Decimal))?;
            of_decimals(arithmetic, &one, &other)
        }
    }
}

fn of_integers<'a>(arithmetic: Arithmetic, one: i64, other: i64) -> Result<Value<'a>, Fault> {
    let divides = matches!(arithmetic, Arithmetic::Quotient | Arithmetic::Remainder);
    if divides && other == 0 {
        return Err(Fault::DivisionByZero);
    }
    let result = match arithmetic {
        Arithmetic::Sum => one.checked_add(other),
        Arithmetic::Difference => one.checked_sub(other),
        Arithmetic::Product => one.checked_mul(other),
        Arithmetic::Quotient => one.checked_div(other),
        Arithmetic::Remainder => Some(one.wrapping_rem(other)),
    };
    result.map(Value::Int).ok_or(Fault::Overflow(Kind::Int))
}

fn of_floats<'a>(arithmetic: Arithmetic, one: f64, other: f64) -> Result<Value<'a>, Fault> {
    let divides = matches!(arithmetic, Arithmetic::Quotient | Arithmetic::Remainder);
    if divides && other == 0.0 {
        return Err(Fault::DivisionByZero);
    }
    let result = match arithmetic {
        Arithmetic::Sum => one + other,
        Arithmetic::Difference => one - other,
        Arithmetic::Product => one * other,
        Arithmetic::Quotient => one / other,
        Arithmetic::Remainder => one % other,
    };
    if result.is_infinite() && one.is_finite() && other.is_finite() {
        return Err(Fault::Overflow(Kind::Float));
    }
    Ok(Value::Float(result))
}

fn of_decimals<'a>(
    arithmetic: Arithmetic,
    one: &BigDecimal,
    other: &BigDecimal,
) -> Result<Value<'a>, Fault> {
    let result = match arithmetic {
        Arithmetic::Sum => one + other,
        Arithmetic::Difference => one - other,
        Arithmetic::Product => one * other,
        Arithmetic::Quotient => quotient(one, other).ok_or(Fault::DivisionByZero)?,
        Arithmetic::Remainder => remainder(one, other).ok_or(Fault::DivisionByZero)?,
    };
    let most = u64::try_from(DIGITS_MAX).unwrap_or(u64::MAX);
    let scale = result.fractional_digit_count().unsigned_abs();
    if result.digits() > most || scale > most {
        return Err(Fault::TooManyDigits);
    }
    Ok(Value::Decimal(result))
}

/// Divides, and rounds the last digit half away from zero.
fn quotient(one: &BigDecimal, other: &BigDecimal) -> Option<BigDecimal> {
    let zero = BigInt::from(0);
    let ten = BigInt::from(10);
    let (dividend, scale) = one.as_bigint_and_exponent();
    let (divisor, other_scale) = other.as_bigint_and_exponent();
    if divisor == zero {
        return None;
    }
    let least = scale.max(other_scale);
    let mut result_scale = least.max(QUOTIENT_SCALE);
    let power = u32::try_from(result_scale + other_scale - scale).ok()?;
    let dividend = dividend * ten.pow(power);
    let mut result = &dividend / &divisor;
    let rest = &dividend % &divisor;
    if rest.magnitude() * 2_u8 >= *divisor.magnitude() {
        let negative = (dividend < zero) != (divisor < zero);
        result += if negative { -1 } else { 1 };
    }
    while result_scale > least && &result % &ten == zero {
        result /= &ten;
        result_scale -= 1;
    }
    Some(BigDecimal::new(result, result_scale))
}

/// What a division leaves, with the sign of the dividend.
fn remainder(one: &BigDecimal, other: &BigDecimal) -> Option<BigDecimal> {
    let scale = one
        .fractional_digit_count()
        .max(other.fractional_digit_count());
    let (dividend, _) = one.with_scale(scale).into_bigint_and_exponent();
    let (divisor, _) = other.with_scale(scale).into_bigint_and_exponent();
    (divisor != BigInt::from(0)).then(|| BigDecimal::new(dividend % divisor, scale))
}

fn as_float(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Float(value) => Some(*value),
        #[expect(
            clippy::cast_precision_loss,
            reason = "PostgreSQL compares an integer with a float as floats too"
        )]
        Value::Int(value) => Some(*value as f64),
        Value::Decimal(value) => value.to_plain_string().parse().ok(),
        Value::Unknown | Value::Null | Value::Bool(_) | Value::Text(_) | Value::Moment(_) => None,
    }
}

fn as_decimal(value: &Value<'_>) -> Option<BigDecimal> {
    match value {
        Value::Int(value) => Some(BigDecimal::from(*value)),
        Value::Decimal(value) => Some(value.clone()),
        Value::Float(_)
        | Value::Unknown
        | Value::Null
        | Value::Bool(_)
        | Value::Text(_)
        | Value::Moment(_) => None,
    }
}

/// Whether two values are to each other as the comparison says.
pub(crate) fn holds(comparison: Comparison, one: &Value<'_>, other: &Value<'_>) -> bool {
    let ordering = order(one, other);
    match comparison {
        Comparison::Equal => ordering == Some(Ordering::Equal),
        Comparison::NotEqual => ordering != Some(Ordering::Equal),
        Comparison::Less => ordering.is_some_and(Ordering::is_lt),
        Comparison::Greater => ordering.is_some_and(Ordering::is_gt),
        Comparison::LessOrEqual => ordering.is_some_and(Ordering::is_le),
        Comparison::GreaterOrEqual => ordering.is_some_and(Ordering::is_ge),
    }
}

/// How two values of kinds that go with each other are ordered.
pub(crate) fn order(one: &Value<'_>, other: &Value<'_>) -> Option<Ordering> {
    match (one, other) {
        (Value::Bool(one), Value::Bool(other)) => Some(one.cmp(other)),
        (Value::Text(one), Value::Text(other)) => Some(one.as_bytes().cmp(other.as_bytes())),
        (Value::Moment(one), Value::Moment(other)) => Some(one.compare(*other)),
        (Value::Int(one), Value::Int(other)) => Some(one.cmp(other)),
        (Value::Decimal(one), Value::Decimal(other)) => Some(one.cmp(other)),
        (Value::Float(_), _) | (_, Value::Float(_)) => {
            let (one, other) = as_float(one).zip(as_float(other))?;
            // As in PostgreSQL, NaN equals itself and is greater than every other number.
            Some(match (one.is_nan(), other.is_nan()) {
                (false, false) => one.partial_cmp(&other)?,
                (one, other) => one.cmp(&other),
            })
        }
        (_, _) => Some(as_decimal(one)?.cmp(&as_decimal(other)?)),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::moment::Style;

    fn number(text: &str) -> Value<'static> {
        let kind = match text {
            text if text.contains('e') => Kind::Float,
            text if text.contains(['.', 'N', 'I']) => Kind::Decimal,
            _ => Kind::Int,
        };
        Value::read(Cow::Owned(text.to_owned()), kind).unwrap()
    }

    fn computed(arithmetic: Arithmetic, one: &str, other: &str) -> Result<String, Fault> {
        let value = compute(arithmetic, &number(one), &number(other))?;
        Ok(value.write(Style::Date).unwrap().into_owned())
    }

    #[test]
    fn numbers_are_computed_exactly() {
        for (arithmetic, one, other, result) in [
            (Arithmetic::Sum, "0.1", "0.2", "0.3"),
            (Arithmetic::Sum, "1", "0.50", "1.50"),
            (Arithmetic::Difference, "1.5", "2", "-0.5"),
            (Arithmetic::Product, "1.10", "1.1", "1.210"),
            (Arithmetic::Quotient, "7", "2", "3"),
            (Arithmetic::Quotient, "-7", "2", "-3"),
            (Arithmetic::Quotient, "1.0", "4", "0.25"),
            (Arithmetic::Quotient, "2.0", "3", "0.6666666666666667"),
            (Arithmetic::Quotient, "-2.0", "3", "-0.6666666666666667"),
            (Arithmetic::Remainder, "-7", "2", "-1"),
            (Arithmetic::Remainder, "7.5", "2", "1.5"),
            (Arithmetic::Remainder, "-9223372036854775808", "-1", "0"),
            (Arithmetic::Product, "2e0", "1.5", "3"),
            (Arithmetic::Sum, "NaN", "1", "NaN"),
            (Arithmetic::Quotient, "1.0", "Infinity", "0"),
        ] {
            let given = computed(arithmetic, one, other);
            assert_eq!(given.as_deref(), Ok(result), "{arithmetic:?} {one} {other}");
        }
    }

    #[test]
    fn what_cannot_be_computed_is_a_fault() {
        let most = i64::MAX.to_string();
        let overflow = Err(Fault::Overflow(Kind::Int));
        assert_eq!(computed(Arithmetic::Sum, &most, "1"), overflow);
        assert_eq!(computed(Arithmetic::Product, &most, "2"), overflow);
        let least = i64::MIN.to_string();
        assert_eq!(computed(Arithmetic::Quotient, &least, "-1"), overflow);
        let overflow = Err(Fault::Overflow(Kind::Float));
        assert_eq!(computed(Arithmetic::Product, "1e300", "1e300"), overflow);
        for zero in ["0", "0.0", "0e0"] {
            let divided = computed(Arithmetic::Quotient, "1", zero);
            assert_eq!(divided, Err(Fault::DivisionByZero));
            let rest = computed(Arithmetic::Remainder, "1.5", zero);
            assert_eq!(rest, Err(Fault::DivisionByZero));
        }
        let long = format!("{}.5", "9".repeat(600));
        let product = computed(Arithmetic::Product, &long, &long);
        assert_eq!(product, Err(Fault::TooManyDigits));
    }

    #[test]
    fn numbers_of_different_kinds_are_compared() {
        let order = |one, other| order(&number(one), &number(other)).unwrap();
        assert_eq!(order("1", "1.0"), Ordering::Equal);
        assert_eq!(order("1.5", "2e0"), Ordering::Less);
        assert_eq!(order("NaN", "Infinity"), Ordering::Greater);
        assert_eq!(order("NaN", "NaN"), Ordering::Equal);
        assert_eq!(order("-Infinity", "-1"), Ordering::Less);
    }
}
