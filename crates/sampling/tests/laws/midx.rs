//! MIDX: codes, quantisation, state.

use rf_sampling::{ClassId, Classes, Error, ExactSoftmax, Law, Midx, MidxConfig, MidxVariant, Quantizer, Sampler};

use crate::rig::{D, N, SEED, change, classes_of, counts, midxs, normals, query, tables};

fn ln_probs(midx: &Midx, classes: Classes<'_>) -> Vec<f32> {
    midx.at(&query(), classes).unwrap().ln_probs(N)
}

#[test]
fn the_exact_midx_is_the_softmax_and_stays_it_when_rows_leave_their_codes() {
    for table in tables() {
        for (name, config) in midxs(0).filter(|(_, config)| config.variant == MidxVariant::Exact && config.prior == 0.0)
        {
            let mut rows = table.rows.clone();
            let mut midx = config.build(table.classes(), &[], SEED).unwrap();
            for _ in 0..2 {
                for classes in [classes_of(&table, &rows), classes_of(&table, &rows).absolute()] {
                    let softmax = ExactSoftmax.at(&query(), classes).unwrap().ln_probs(N);
                    for (class, (got, want)) in ln_probs(&midx, classes).into_iter().zip(softmax).enumerate() {
                        assert!((got - want).abs() < 1e-4, "{name}, {}: class {class}: {got} and {want}", table.name);
                    }
                }
                let before = change(&mut rows, table.width, &[0, 3, 36]);
                midx.refresh(&[0, 3, 36], &before, classes_of(&table, &rows)).unwrap();
            }
        }
    }
}

/// Embeddings that moved keep their codes, but biases count at once: what is refreshed is what the same codes over the
/// new table say.
#[test]
fn between_quantisations_midx_follows_its_codes_and_the_biases() {
    let ids = [0, 3, 11, 12, 36];
    for table in tables() {
        for (name, config) in midxs(0).filter(|(_, config)| config.variant == MidxVariant::Fast) {
            let mut rows = table.rows.clone();
            let mut midx = config.build(table.classes(), &counts(), SEED).unwrap();
            let (old, codes, codewords) = (ln_probs(&midx, table.classes()), midx.codes(), midx.codewords());
            change(&mut rows, table.width, &ids);
            let classes = classes_of(&table, &rows);
            midx.refresh(&ids, &[], classes).unwrap();
            let new = ln_probs(&midx, classes);
            let total: f64 = new.iter().map(|&ln_q| f64::from(ln_q).exp()).sum();
            assert!((total - 1.0).abs() < 1e-5, "{name}: {total}");
            assert_eq!((old == new, midx.codes()), (table.width == D, codes.clone()), "{name}, {}", table.name);

            let mut other = config.build(classes, &counts(), SEED + 1).unwrap();
            other.restore(classes, &codewords, &codes, 1).unwrap();
            assert_eq!(ln_probs(&other, classes), new, "{name}, {}", table.name);
        }
    }
}

#[test]
fn a_quantisation_comes_when_it_is_due_and_lowers_the_error() {
    for table in tables() {
        for (name, config) in midxs(3) {
            let mut rows = table.rows.clone();
            let mut midx = config.build(table.classes(), &counts(), SEED).unwrap();
            let ids: Vec<ClassId> = (0..N as ClassId).collect();
            let (mut errors, mut codes) = (Vec::new(), vec![midx.codes()]);
            for _ in 0..3 {
                let before = change(&mut rows, table.width, &ids);
                let classes = classes_of(&table, &rows);
                let stale = midx.quantization_error(classes);
                midx.refresh(&ids, &before, classes).unwrap();
                errors.push((stale, midx.quantization_error(classes)));
                codes.push(midx.codes());
            }
            assert!(errors[0].0 == errors[0].1 && errors[1].0 == errors[1].1, "{name}: {errors:?}");
            assert!(codes[0] == codes[1] && codes[1] == codes[2], "{name}");
            assert!(errors[2].1 < 0.9 * errors[2].0, "{name}, {}: {errors:?}", table.name);
            let total: f64 = ln_probs(&midx, classes_of(&table, &rows)).iter().map(|&q| f64::from(q).exp()).sum();
            assert!((total - 1.0).abs() < 1e-5, "{name}: {total}");
        }
    }
}

#[test]
fn the_first_quantisations_come_early() {
    let table = &tables()[0];
    let mut rows = table.rows.clone();
    let config = MidxConfig { codewords: 4, refresh_every: 50, ..Default::default() };
    let mut midx = config.build(table.classes(), &[], SEED).unwrap();
    let ids: Vec<ClassId> = (0..N as ClassId).collect();
    let mut changed = Vec::new();
    for step in 1..=100 {
        let (before, words) = (change(&mut rows, table.width, &ids), midx.codewords());
        midx.refresh(&ids, &before, classes_of(table, &rows)).unwrap();
        changed.extend((midx.codewords() != words).then_some(step));
    }
    assert_eq!(changed, [16, 32, 50, 100]);
}

#[test]
fn a_restored_midx_is_equal_to_the_last_bit_and_goes_on_so() {
    for table in tables() {
        for (name, config) in midxs(3) {
            let mut rows = table.rows.clone();
            let mut walked = config.build(table.classes(), &counts(), SEED).unwrap();
            for ids in [&[1, 2, 30][..], &[0, 7, 8, 9], &[5], &[2, 3]] {
                let before = change(&mut rows, table.width, ids);
                walked.refresh(ids, &before, classes_of(&table, &rows)).unwrap();
            }
            let mut restored = config.build(table.classes(), &counts(), SEED).unwrap();
            let classes = classes_of(&table, &rows);
            restored.restore(classes, &walked.codewords(), &walked.codes(), walked.steps()).unwrap();
            for _ in 0..3 {
                assert_eq!(ln_probs(&walked, classes), ln_probs(&restored, classes), "{name}, {}", table.name);
                walked.refresh(&[4], &[], classes).unwrap();
                restored.refresh(&[4], &[], classes).unwrap();
            }
            assert_eq!(walked.codewords(), restored.codewords(), "{name}");
        }
    }
}

#[test]
fn a_state_that_does_not_fit_is_refused_and_midx_stays_whole() {
    let table = &tables()[0];
    let classes = table.classes();
    let mut midx = MidxConfig { codewords: 4, ..Default::default() }.build(classes, &[], SEED).unwrap();
    let (old, codewords, codes) = (ln_probs(&midx, classes), midx.codewords(), midx.codes());
    let strange: Vec<u32> = codes.iter().map(|_| 16).collect();
    for (codewords, codes) in [(&codewords[1..], &codes[..]), (&codewords, &codes[1..]), (&codewords, &strange)] {
        assert!(matches!(midx.restore(classes, codewords, codes, 0), Err(Error::WrongState { .. })));
        assert_eq!(ln_probs(&midx, classes), old);
    }
}

#[test]
fn midx_quantises_the_same_on_any_number_of_threads() {
    let rows = normals(5_000 * D, 1);
    let classes = Classes::new(&rows, D);
    for quantizer in [Quantizer::Pq, Quantizer::Rq] {
        let config = MidxConfig { quantizer, codewords: 8, refresh_every: 1, ..Default::default() };
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut midx = config.build(classes, &[], SEED).unwrap();
                midx.refresh(&[], &[], classes).unwrap();
                (midx.codewords(), midx.codes())
            })
        };
        assert_eq!(on(1), on(3));
    }
}
